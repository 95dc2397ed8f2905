"""Measure training and decoding beside what people use now: same work, alternating, each in a process of its own.

Random weights and noise; nothing is downloaded. Interrupted, the same command goes on where it was. docs/benchmark.md
has the results of the whole table.
"""

import argparse
import os
import shlex
from pathlib import Path

from peft_asr.bin.options import boolean, count
from peft_asr.errors import UserError


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the command's arguments."""
    parser.add_argument(
        "--against",
        default="own,hf,s3prl,speechbrain,espnet",
        metavar="NAME,...",
        help="opponents; own is full fine-tuning here",
    )
    parser.add_argument("--work", nargs="+", default=[], metavar="NAME", help="only these works (see --list)")
    parser.add_argument("--geometry", default="base", help="base, large, or tiny for a trial")
    parser.add_argument("--pairs", type=count, default=5, help="measurements of each side")
    parser.add_argument("--steps", type=count, default=4, help="training steps counted in each measurement")
    parser.add_argument("--warmup", type=count, default=1, help="training steps before them, not counted")
    parser.add_argument(
        "--batch_s", type=float, default=48.0, help="seconds of speech in a batch, padding included"
    )
    parser.add_argument("--threads", type=count, default=len(os.sched_getaffinity(0)), help="of each process")
    parser.add_argument("--device", choices=("cpu", "cuda"), default="cpu", help="where both sides compute")
    parser.add_argument("--scaling", action="store_true", help="measure our side over sizes instead of works")
    parser.add_argument("--json", default=None, metavar="FILE", help="write the rows there")
    parser.add_argument(
        "--out", default=None, metavar="FILE", help="page to put the table in, e.g. docs/benchmark.md"
    )
    parser.add_argument(
        "--cache",
        default=str(Path(os.environ.get("XDG_CACHE_HOME", "~/.cache")).expanduser() / "peft_asr" / "bench"),
        metavar="DIR",
        help="checkpoints, audio and dumps (3 GB for base), and what is measured already",
    )
    parser.add_argument(
        "--fresh", type=boolean, default=False, metavar="BOOL", help="measure again what is measured already"
    )
    parser.add_argument("--list", action="store_true", help="print the works and stop")


def run(args: argparse.Namespace) -> int:
    """Run the command; status 1 if a work failed."""
    from peft_asr.bench.run import JOURNAL, bench, bench_scaling
    from peft_asr.bench.setting import Setting
    from peft_asr.bench.works import WORKS

    if args.list:
        for work in WORKS:
            print(f"{work.name:<26} {work.what} | {work.opponent}")
        return 0
    if not args.batch_s > 0:
        raise UserError(f"--batch_s {args.batch_s:g} is not a batch; allowed: seconds of speech above 0")
    setting = Setting(
        folder=str(Path(args.cache).resolve()), geometry=args.geometry, device=args.device, threads=args.threads,
        batch_s=args.batch_s, warmup=args.warmup, steps=args.steps,
    )  # fmt: skip
    if args.fresh:
        (Path(args.cache) / JOURNAL).unlink(missing_ok=True)
    command = shlex.join(["peft-asr", *args.argv])
    json_file, page = (Path(name) if name else None for name in (args.json, args.out))
    if args.scaling:
        bench_scaling(setting, command, json_file, page)
        return 0
    against = [name for name in args.against.split(",") if name]
    rows = bench(setting, args.work, against, args.pairs, command, json_file, page)
    return int(any("failed" in row for row in rows))
