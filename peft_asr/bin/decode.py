"""Write hypotheses for a data directory with a trained adapter (stage 4): OUT/text, OUT/score, OUT/decode.json.

Greedy, or by beam search with an n-gram (--lm) of the tokens, or of words with a --lexicon.
"""

import argparse

from peft_asr.bin.options import boolean


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Experiment, data, where to write, how to search."""
    add_common_arguments(parser)
    parser.add_argument("--data", required=True, metavar="DIR", help="test set of stage 2 (dump/audio/SET)")
    parser.add_argument("--out", required=True, metavar="DIR", help="decoding directory, e.g. EXP/decode_SET")
    parser.add_argument("--lm", default=None, metavar="FILE", help="ARPA or KenLM file, or none (decode.lm)")
    parser.add_argument(
        "--nbest", type=int, default=None, metavar="N", help="also write OUT/nbest (decode.nbest)"
    )
    parser.add_argument(
        "--dump_dir", default=None, metavar="DIR", help="start from the dump of --data there, not from audio"
    )


def add_common_arguments(parser: argparse.ArgumentParser) -> None:
    """What ``decode`` and ``tune-decode`` share."""
    parser.add_argument("--exp", required=True, metavar="DIR", help="experiment of stage 3")
    parser.add_argument(
        "--ckpt", default=None, metavar="NAME", help="best, average, a step or a path; default: EXP/adapter"
    )
    parser.add_argument(
        "--decode_config",
        action="append",
        default=[],
        metavar="FILE",
        help="YAML with the section decode; later ones win",
    )
    parser.add_argument(
        "--set", action="append", nargs="+", default=[], metavar="KEY=VALUE", help="e.g. decode.beam=20"
    )
    parser.add_argument("--lexicon", default=None, metavar="FILE", help="words of a word LM (decode.lexicon)")
    parser.add_argument("--nj", type=int, default=1, help="processes of the beam search")
    parser.add_argument(
        "--batch_s", type=float, default=None, help="seconds of speech in a batch (decode.batch_s)"
    )
    parser.add_argument(
        "--upstream_ckpt", default=None, metavar="FILE", help="the upstream's checkpoint, if it moved"
    )
    parser.add_argument(
        "--ngpu", choices=("auto", "0", "1"), default="auto", help="auto: a GPU where there is one"
    )
    parser.add_argument(
        "--overwrite", type=boolean, default=False, metavar="BOOL", help="decode even if up to date"
    )


def common_values(args: argparse.Namespace) -> dict:
    """The arguments of ``add_common_arguments`` as the functions behind the commands take them."""
    return {
        "batch_s": args.batch_s,
        "upstream_ckpt": args.upstream_ckpt,
        "ngpu": args.ngpu,
        "overwrite": args.overwrite,
        "ckpt": args.ckpt,
        "files": args.decode_config,
        "overrides": [item for group in args.set for item in group],
        "lm": args.lm,
        "lexicon": args.lexicon,
        "nj": args.nj,
    }


def run(args: argparse.Namespace) -> None:
    """Decode."""
    from peft_asr.decode.decode import decode

    decode(
        args.exp, args.data, args.out, nbest=args.nbest, dump_dir=args.dump_dir or None, **common_values(args)
    )
