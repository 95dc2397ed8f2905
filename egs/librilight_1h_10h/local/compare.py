#!/usr/bin/env python3
"""Ours beside the paper's: puts the tables of conf/published.yaml, with the results of results.jsonl, into RESULTS.md.

They stand between marks of their own, which `peft-asr results` leaves alone; what is between them is replaced.
"""

import argparse
import json
import re
import statistics
import sys
from pathlib import Path

import yaml

from peft_asr.errors import UserError
from peft_asr.files import write_text

BEGIN, END = "<!-- paper:begin -->", "<!-- paper:end -->"
SUBSET = re.compile(r"(?:^|_)(?P<hours>[\d.]+(?:min|h))_(?P<subset>(?:official|drawn)[^_]*(?:_data\d+)?)")
SWEEP = re.compile(r"(?:^|_)train\.lr=(?P<lr>[\d.e-]+)_.*lr_sweep")
RATE = {"asr": ("wer", "WER"), "pr": ("per", "PER")}
NONE = "-"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--results", type=Path, default=Path("results.jsonl"))
    parser.add_argument("--published", type=Path, default=Path("conf/published.yaml"))
    parser.add_argument("--page", type=Path, default=Path("RESULTS.md"))
    parser.add_argument("--set", default="test_clean", help="the test set whose results are compared")
    args = parser.parse_args()
    published = yaml.safe_load(args.published.read_text(encoding="utf-8"))
    groups = read_groups(args.results, args.set)
    lines = [
        "## Beside the paper",
        "",
        f'Columns "paper" are those of {published["source"]} ({published["upstream"]}, mean ± standard deviation over '
        f'its seeds); columns "ours" are this recipe\'s on {args.set}, mean ± standard deviation over (n) seeds.',
    ]
    for task in RATE:
        lines += ["", *low_resource(published, groups, task)]
    lines += ["", *learning_rates(published, groups)]
    replace_block(args.page, "\n".join(lines))


def read_groups(results: Path, test_set: str) -> dict[tuple, list[dict]]:
    """(task, method, options, upstream, tag, note) -> the rows of its seeds, of one test set.

    Raises:
        UserError: a line is not a result row.
    """
    groups: dict[tuple, list[dict]] = {}
    text = results.read_text(encoding="utf-8") if results.exists() else ""
    for number, line in enumerate(text.splitlines(), start=1):
        try:
            row = json.loads(line)
            key = tuple(row[name] for name in ("task", "method", "options", "upstream", "tag"))
        except (ValueError, TypeError, KeyError) as err:
            raise UserError(f"{results}:{number} is not a result row ({err!r}); repair or remove it") from err
        if row["set"] == test_set:
            groups.setdefault((*key, row.get("note", "")), []).append(row)
    return groups


def low_resource(published: dict, groups: dict[tuple, list[dict]], task: str) -> list[str]:
    """The paper's Table 3 for one task: a line for each of its methods, then for each setting of ours."""
    rate, name = RATE[task]
    theirs = published["low_resource"][task]
    ours: dict[tuple, dict[str, str]] = {}
    for (own_task, method, options, upstream, tag, note), rows in groups.items():
        match = SUBSET.search(tag)
        if own_task == task and match and not SWEEP.search(tag):
            rest = f"{tag[: match.start()]}{tag[match.end() :]}".strip("_")
            settings = ", ".join(part for part in (match["subset"], rest, note) if part)
            label = f"{method} {options}".strip()
            ours.setdefault((method, label, upstream, settings), {})[match["hours"]] = shown(rows, rate)
    hours = sorted({*theirs, *(h for cells in ours.values() for h in cells)}, key=in_minutes)
    head = ["method", "upstream", "settings", *(f"{who}, {h}" for h in hours for who in ("paper", "ours"))]
    body = []
    for method in dict.fromkeys([*theirs["1h"], *(key[0] for key in ours)]):
        own = [(key, cells) for key, cells in ours.items() if key[0] == method]
        for (_, label, upstream, settings), cells in own or [((method, method, NONE, NONE), {})]:
            pairs = [(printed(theirs.get(h, {}).get(method)), cells.get(h, NONE)) for h in hours]
            body.append([label, upstream, settings, *(cell for pair in pairs for cell in pair)])
    return [f"{name} %", "", *table(head, body)]


def learning_rates(published: dict, groups: dict[tuple, list[dict]]) -> list[str]:
    """The paper's Table 4 beside what local/lr_sweep.sh has run."""
    theirs = published["learning_rate"]
    rates = list(next(iter(theirs.values())))
    ours: dict[tuple, dict[float, str]] = {}
    for (task, method, _, upstream, tag, note), rows in groups.items():
        match = SWEEP.search(tag)
        if task == "pr" and match:
            subset = SUBSET.search(tag)
            data = f"{subset['hours']} {subset['subset']}" if subset else "100h"
            settings = ", ".join(part for part in (data, note) if part)
            ours.setdefault((method, upstream, settings), {})[float(match["lr"])] = shown(rows, "per")
    head = [
        "method",
        "upstream",
        "settings",
        *(f"{who}, {rate}" for rate in rates for who in ("paper", "ours")),
    ]
    body = []
    for method, cells in theirs.items():
        own = [(key, found) for key, found in ours.items() if key[0] == method]
        for (_, upstream, settings), found in own or [((method, NONE, NONE), {})]:
            pairs = [(printed(cells[rate]), found.get(float(rate), NONE)) for rate in rates]
            body.append([method, upstream, settings, *(cell for pair in pairs for cell in pair)])
    return ["PER % by learning rate (local/lr_sweep.sh)", "", *table(head, body)]


def shown(rows: list[dict], rate: str) -> str:
    values = [row[rate] for row in rows if rate in row]
    if not values:
        return NONE
    deviation = f" ± {statistics.stdev(values):.2f}" if len(values) > 1 else ""
    return f"{statistics.fmean(values):.2f}{deviation} ({len(values)})"


def printed(cell: dict | None) -> str:
    return NONE if cell is None else f"{cell['mean']:.2f} ± {cell['std']:.2f}"


def in_minutes(hours: str) -> float:
    return float(hours.removesuffix("min")) if hours.endswith("min") else 60 * float(hours.removesuffix("h"))


def table(head: list[str], body: list[list[str]]) -> list[str]:
    return [f"| {' | '.join(line)} |" for line in (head, ["---"] * len(head), *body)]


def replace_block(page: Path, text: str) -> None:
    """Put ``text`` between the marks of ``page``, at its end if it has none.

    Raises:
        UserError: the marks are not one pair.
    """
    block = f"{BEGIN}\n{text}\n{END}\n"
    old = page.read_text(encoding="utf-8") if page.exists() else "# Results\n"
    if BEGIN not in old and END not in old:
        write_text(page, f"{old.rstrip()}\n\n{block}")
        return
    if old.count(BEGIN) != 1 or old.count(END) != 1 or old.index(BEGIN) > old.index(END):
        raise UserError(f"{page} must hold one {BEGIN} and, after it, one {END}; nothing was changed")
    before, _, rest = old.partition(BEGIN)
    write_text(page, f"{before}{block}{rest.partition(END)[2].removeprefix(chr(10))}")


if __name__ == "__main__":
    try:
        main()
    except UserError as err:
        sys.exit(f"compare.py: error: {err}")
