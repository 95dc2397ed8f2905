"""Put a scored experiment into the recipe's RESULTS.md (and results.jsonl beside it) and print its numbers.

Without --exp only the table and the plot are made again.
"""

import argparse
import re
from pathlib import Path

from peft_asr.errors import UserError, nearest
from peft_asr.report.metrics import METRICS
from peft_asr.report.plot import check_plot, plot_results
from peft_asr.report.rows import collect_rows, commit_of
from peft_asr.report.store import update
from peft_asr.report.tables import plain


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The experiment, its sets, the page, and what to say about the run."""
    parser.add_argument("--exp", default=None, metavar="DIR", help="experiment directory")
    parser.add_argument("--sets", default="", help="test sets, separated by blanks; each has DIR/decode_SET")
    parser.add_argument("--out", default="RESULTS.md", metavar="FILE", help="the recipe's results page")
    parser.add_argument("--command", default="", metavar="TEXT", help="the command that made this result")
    parser.add_argument("--note", default="", help="e.g. partial")
    parser.add_argument(
        "--plot", default=None, metavar="FILE", help="draw parameters against scores (png, svg, pdf)"
    )
    parser.add_argument(
        "--plot_metric",
        default=None,
        metavar="NAME",
        help=f"the score: {', '.join(METRICS)}; default: what each task is judged by",
    )
    parser.add_argument(
        "--plot_tag",
        default="",
        metavar="REGEX",
        help="draw only results whose tag matches this regular expression",
    )


def run(args: argparse.Namespace) -> None:
    """Collect, store, write the page, draw, print."""
    if args.plot:
        check_plot(args.plot)
        _check_pattern(args.plot_tag)
        _check_metric(args.plot_metric)
    page = Path(args.out)
    new = []
    if args.exp:
        commit = commit_of(page.parent, ignore=[page, page.parent / "results.jsonl"])
        new = collect_rows(args.exp, args.sets.split(), command=args.command, note=args.note, commit=commit)
    rows = update(args.out, new)
    if args.plot:
        drawn = [row for row in rows if re.search(args.plot_tag, row["tag"])]
        plot_results(drawn, args.plot, args.plot_metric)
    if new:
        print(plain(rows, new))


def _check_pattern(pattern: str) -> None:
    try:
        re.compile(pattern)
    except re.error as err:
        raise UserError(f"--plot_tag {pattern} is no regular expression: {err}") from err


def _check_metric(name: str | None) -> None:
    if name is not None and name not in METRICS:
        raise UserError(
            f"unknown --plot_metric '{name}'{nearest(name, METRICS)}; allowed: {', '.join(METRICS)}"
        )
