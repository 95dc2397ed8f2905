"""Merge a trained method into its upstream: OUT/upstream.pt (s3prl's format) and OUT/adapter (the head on it)."""

import argparse


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Experiment, where to write."""
    parser.add_argument(
        "--exp", required=True, metavar="DIR", help="experiment of stage 3, or an adapter directory"
    )
    parser.add_argument("--out", required=True, metavar="DIR", help="new directory; usable as an experiment")
    parser.add_argument(
        "--upstream_ckpt", default=None, metavar="FILE", help="the upstream's checkpoint, if it moved"
    )


def run(args: argparse.Namespace) -> None:
    """Merge."""
    from peft_asr.decode.checkpoint import find_adapter
    from peft_asr.export.merge import CHECKPOINT, merge_experiment
    from peft_asr.tasks.adapter import load_adapter

    merge_experiment(load_adapter(find_adapter(args.exp), args.upstream_ckpt), args.out)
    print(f"{args.out}/{CHECKPOINT} is the merged upstream; peft-asr transcribe --exp {args.out} uses it")
