"""Check a Kaldi data directory: list every problem with file and line; change nothing; exit 1 if any."""

import argparse
import sys

from peft_asr.bin.options import boolean
from peft_asr.data.tables import counted
from peft_asr.data.validate import PIPES_REFUSED, validate

_SHOWN = 50


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Arguments of ``peft-asr validate-data-dir``."""
    parser.add_argument("data_dir")
    parser.add_argument("--no_text", type=boolean, default=False, help="the directory may lack text")
    parser.add_argument("--allow_pipes", type=boolean, default=False, help="wav.scp may hold commands")


def run(args: argparse.Namespace) -> int:
    """Print warnings and problems; returns 1 if there is a problem."""
    problems, warnings = validate(args.data_dir, need_text=not args.no_text, allow_pipes=args.allow_pipes)
    for warning in warnings:
        print(f"warning: {warning}", file=sys.stderr)
    for problem in problems[:_SHOWN]:
        print(problem, file=sys.stderr)
    if len(problems) > _SHOWN:
        print(f"... and {len(problems) - _SHOWN} more", file=sys.stderr)
    if problems:
        advice = f"; utils/fix_data_dir.sh {args.data_dir} repairs most of it"
        if all(problem.endswith(PIPES_REFUSED) for problem in problems):
            advice = ""
        print(f"{args.data_dir}: {counted(len(problems), 'problem')}{advice}", file=sys.stderr)
        return 1
    print(f"{args.data_dir}: a valid data directory")
    return 0
