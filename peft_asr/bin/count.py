"""Count the trainable parameters of a method on an upstream. No weights are needed."""

import argparse
import json

from peft_asr.bin.options import (
    add_config_arguments,
    add_dump_arguments,
    boolean,
    config_from_arguments,
    dump_overrides,
)


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Upstream and method, by config or by name."""
    add_config_arguments(parser)
    parser.add_argument("--json", action="store_true", help="print JSON; the key 'trainable' is the total")
    parser.add_argument(
        "--table",
        action="store_true",
        help="print our count of every published method beside the paper's, each on the paper's upstream or all on "
        "--upstream",
    )
    group = parser.add_argument_group("check", "what stages 2 to 4 would refuse, before there are any data")
    group.add_argument(
        "--check", type=boolean, default=False, metavar="BOOL", help="print nothing but what is wrong"
    )
    add_dump_arguments(group)
    group.add_argument(
        "--decode_config", action="append", default=[], metavar="FILE", help="as decode takes it"
    )
    group.add_argument("--lm", default=None, metavar="FILE", help="as decode takes it; may be missing yet")
    group.add_argument("--lexicon", default=None, metavar="FILE", help="as decode takes it")


def run(args: argparse.Namespace) -> None:
    """Print the count of each site and method, and the total; or the table of published counts; or check."""
    if args.check:
        from peft_asr.report.check import check_run

        config = config_from_arguments(args, dump_overrides(args))
        check_run(config, args.decode_config, lm=args.lm, lexicon=args.lexicon)
        return
    if not args.table:
        count_one(args)
        return
    from peft_asr.report.published import published_table

    asked = args.upstream or args.upstream_ckpt
    print_table(published_table(config_from_arguments(args).upstream if asked else None), args.json)


def count_one(args: argparse.Namespace) -> None:
    """One spec on one upstream."""
    from peft_asr import peft
    from peft_asr.upstream import load_skeleton

    config = config_from_arguments(args)
    methods = peft.resolve(config.peft)
    encoder = load_skeleton(config.upstream)
    total = sum(p.numel() for p in encoder.parameters())
    counts = peft.count(encoder, methods)
    peft.inject(encoder, methods)
    places = {site for method in methods for site in method.sites(encoder)}
    sites: dict[str, int] = {}
    for name, parameter in encoder.named_parameters():
        if parameter.requires_grad:
            # A method's modules stand below its site; pre-trained parameters that train stand for themselves.
            plain = name.replace(".sites.", ".")
            site = next((place for place in places if plain.startswith(f"{place}.")), name)
            sites[site] = sites.get(site, 0) + parameter.numel()
    trainable = sum(counts.values())
    if args.json:
        report = {"upstream": config.upstream.name, "peft": config.peft.name, "trainable": trainable}
        print(json.dumps({**report, "total": total, "methods": counts, "sites": sites}, indent=2))
        return
    for site, number in sites.items():
        print(f"{site:<48} {number:>12,}")
    for part, number in counts.items():
        print(f"{part:<48} {number:>12,}")
    print(
        f"{'trainable':<48} {trainable:>12,}  ({100 * trainable / max(total, 1):.3f} % of the upstream's {total:,})"
    )


def print_table(rows: list[dict], as_json: bool) -> None:
    """As aligned columns, or as JSON."""
    if as_json:
        print(json.dumps(rows, indent=2))
        return
    cells = [["--peft", "paper", "upstream", "printed", "ours", "share"]]
    for row in rows:
        fits = row["ours"] is not None
        numbers = [f"{row['ours']:,}", f"{100 * row['share']:.3f} %"] if fits else ["does not fit", "-"]
        cells.append([row["peft"], row["paper"], row["upstream"], row["printed"] or "-", *numbers])
    widths = [max(len(line[i]) for line in cells) for i in range(6)]
    for line in cells:
        words = [
            f"{c:<{w}}" if i < 3 else f"{c:>{w}}" for i, (c, w) in enumerate(zip(line, widths, strict=True))
        ]
        print("  ".join(words).rstrip())
