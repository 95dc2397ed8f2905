"""Write a trained experiment for Hugging Face: a merged model (--to hf), or a LoRA adapter of peft (--to peft).

Both need CTC with a linear head on the last hidden state, and characters as tokens.
"""

import argparse

from peft_asr.bin.options import boolean
from peft_asr.errors import UserError


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Experiment, format, where to write."""
    parser.add_argument(
        "--exp", required=True, metavar="DIR", help="experiment of stage 3, or an adapter directory"
    )
    parser.add_argument("--to", required=True, choices=("peft", "hf"), help="format")
    parser.add_argument("--out", required=True, metavar="DIR", help="new directory")
    parser.add_argument(
        "--base", default=None, metavar="NAME_OR_DIR", help="peft: the base at Hugging Face; it is compared"
    )
    parser.add_argument(
        "--with_base",
        type=boolean,
        default=False,
        metavar="BOOL",
        help="peft: write the base too, as OUT/base",
    )
    parser.add_argument(
        "--upstream_ckpt", default=None, metavar="FILE", help="the upstream's checkpoint, if it moved"
    )


def run(args: argparse.Namespace) -> None:
    """Export."""
    if args.to == "hf" and (args.base or args.with_base):
        raise UserError("--base and --with_base belong to --to peft; --to hf writes the whole model")
    from peft_asr.decode.checkpoint import find_adapter
    from peft_asr.export.to_hf import export_hf
    from peft_asr.export.to_peft import export_peft
    from peft_asr.tasks.adapter import load_adapter

    _without_progress_bars()
    loaded = load_adapter(find_adapter(args.exp), args.upstream_ckpt)
    if args.to == "hf":
        export_hf(loaded, args.out)
        print(f"{args.out}: pipeline('automatic-speech-recognition', model='{args.out}') transcribes with it")
    else:
        export_peft(loaded, args.out, base=args.base, with_base=args.with_base)
        print(f"{args.out}/README.md says how to load it")


def _without_progress_bars() -> None:
    from transformers.utils import logging

    logging.disable_progress_bar()
