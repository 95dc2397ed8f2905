"""Make an experiment of a LoRA adapter of huggingface/peft that was trained on a CTC model of transformers."""

import argparse

from peft_asr.bin.options import boolean


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Adapter, its upstream here, where to write."""
    parser.add_argument(
        "--adapter",
        required=True,
        metavar="DIR",
        help="adapter_config.json, adapter_model.safetensors, vocab.json",
    )
    parser.add_argument("--out", required=True, metavar="DIR", help="new experiment directory")
    parser.add_argument("--upstream", default=None, metavar="NAME", help="the base model here")
    parser.add_argument("--upstream_ckpt", default=None, metavar="FILE", help="its checkpoint")
    parser.add_argument(
        "--tokens", default=None, metavar="FILE", help="token list, if there is no vocab.json"
    )
    parser.add_argument(
        "--allow_pickle", type=boolean, default=False, metavar="BOOL", help="read adapter_model.bin"
    )


def run(args: argparse.Namespace) -> None:
    """Import."""
    from peft_asr.export.from_peft import import_peft

    import_peft(
        args.adapter,
        args.out,
        upstream=args.upstream,
        upstream_ckpt=args.upstream_ckpt,
        tokens=args.tokens,
        allow_pickle=args.allow_pickle,
    )
    print(
        f"{args.out} is an experiment now: peft-asr info {args.out}; peft-asr transcribe --exp {args.out} audio..."
    )
