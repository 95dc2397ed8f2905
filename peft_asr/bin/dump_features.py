"""Stage 2: write what the frozen part of the upstream makes of data sets, for training to start from.

In DUMP_DIR/<upstream>-<hash>/<boundary>/<set>: feats.scp and feats.<N>.ark (Kaldi, read with kaldiio), utt2num_frames,
dump.json (what it was made with). After a kill, goes on where it was.
"""

import argparse

from peft_asr.bin.options import (
    add_config_arguments,
    add_dump_arguments,
    config_from_arguments,
    dump_overrides,
    gpus,
)


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Arguments of ``peft-asr dump-features``."""
    add_config_arguments(parser)
    parser.add_argument(
        "--data", required=True, nargs="+", metavar="DIR", help="sets of stage 2 (dump/audio/SET)"
    )
    add_dump_arguments(parser)
    parser.add_argument("--dump_limit_gb", type=float, default=50.0, help="more is not written, GB in all")
    parser.add_argument("--seed", type=int, default=None, help="as in training (seed)")
    parser.add_argument("--nj", type=int, default=1, help="processes, each with the upstream in memory")
    parser.add_argument("--ngpu", type=gpus, default="auto", help="1: on the GPU, with one process")


def run(args: argparse.Namespace) -> None:
    """Dump."""
    extra = dump_overrides(args) + ([] if args.seed is None else [f"seed={args.seed}"])
    config = config_from_arguments(args, extra)
    from peft_asr.frozen.write import dump_features
    from peft_asr.train.precision import pick_device

    device = pick_device(args.ngpu)
    nj = 1 if device.type == "cuda" else args.nj
    dump_features(config, args.data, limit_gb=args.dump_limit_gb, nj=nj, device=str(device))
