"""List the upstreams that have a name. Any other goes by --upstream_ckpt FILE, Hugging Face models by hf:DIRECTORY."""

import argparse
import json

_COLUMNS = ("name", "family", "layers", "width", "parameters", "rate_hz", "licence", "where", "methods")


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """One switch."""
    parser.add_argument("--json", action="store_true", help="print JSON, with the URL of each file")


def run(args: argparse.Namespace) -> None:
    """Print a table, or JSON."""
    from peft_asr.upstream.listing import list_upstreams

    rows = list_upstreams()
    if args.json:
        print(json.dumps(rows, indent=2))
        return
    cells = [_COLUMNS, *([_cell(row[column]) for column in _COLUMNS] for row in rows)]
    widths = [max(len(line[i]) for line in cells) for i in range(len(_COLUMNS))]
    for line in cells:
        print("  ".join(f"{cell:<{width}}" for cell, width in zip(line, widths, strict=True)).rstrip())


def _cell(value) -> str:
    if value is None:
        return "-"
    return f"{value:,}" if isinstance(value, int) else value
