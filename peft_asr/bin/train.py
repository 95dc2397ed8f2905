"""Train a method on a frozen upstream (stage 3). Run again after a kill it goes on where it stopped.

Leaves in --exp: config.yaml (resolved), train.log, metrics.jsonl, tensorboard/, state/ (resumable),
checkpoints/ (the best), summary.json and, when training is complete, adapter/.
"""

import argparse
import sys

from peft_asr.bin.options import (
    add_config_arguments,
    add_dump_arguments,
    boolean,
    config_from_arguments,
    count,
    dump_overrides,
    gpus,
)

_WORDS = {
    "train_dir": "data.train_dir",
    "valid_dir": "data.valid_dir",
    "token_dir": "data.token_dir",
    "seed": "seed",
}


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the command's arguments."""
    add_config_arguments(parser)
    parser.add_argument(
        "--train_dir", default=None, metavar="DIR", help="training data of stage 2 (data.train_dir)"
    )
    parser.add_argument(
        "--valid_dir", default=None, metavar="DIR", help="validation data of stage 2 (data.valid_dir)"
    )
    parser.add_argument(
        "--token_dir", default=None, metavar="DIR", help="token list of stage 2 (data.token_dir)"
    )
    add_dump_arguments(parser)
    parser.add_argument("--seed", type=int, default=None, help="of everything random (seed)")
    parser.add_argument(
        "--exp", required=True, metavar="DIR", help="experiment directory to train in or to go on with"
    )
    parser.add_argument(
        "--overwrite", type=boolean, default=False, metavar="BOOL", help="start afresh in --exp"
    )
    parser.add_argument(
        "--ngpu",
        type=gpus,
        default="auto",
        help="GPUs of each node, one process each; auto: one where there is one",
    )
    parser.add_argument("--num_processes", type=count, default=1, help="processes of each node without GPUs")
    parser.add_argument(
        "--num_nodes", type=count, default=1, help="start the same command on each (srun, or $MASTER_ADDR)"
    )


def run(args: argparse.Namespace) -> int:
    """Run the command; returns the exit status (128 + signal number when a signal stopped it)."""
    extra = [
        f"{key}={getattr(args, word)}" for word, key in _WORDS.items() if getattr(args, word) is not None
    ]
    config = config_from_arguments(args, extra + dump_overrides(args))
    from peft_asr.train.launch import launch
    from peft_asr.train.ranks import launched
    from peft_asr.train.run import train
    from peft_asr.train.stop import Interrupted

    processes = max(args.num_processes, int(args.ngpu) if args.ngpu != "auto" else 1)
    if processes * args.num_nodes > 1 and not launched():
        return launch(args.argv, processes, args.num_nodes)
    try:
        train(config, args.exp, overwrite=args.overwrite, ngpu=args.ngpu)
    except Interrupted as stop:
        print(f"peft-asr train: {stop}", file=sys.stderr)
        return 128 + stop.signum
    return 0
