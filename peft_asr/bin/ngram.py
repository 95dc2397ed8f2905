"""Stage 2: make an n-gram language model (ARPA) of the tokens or the words of a text, for beam search."""

import argparse

from peft_asr.lm.backends import BACKENDS
from peft_asr.lm.ngram import FORMATS, UNITS, make_ngram
from peft_asr.text.normalize import NORMALIZERS


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Arguments of ``peft-asr ngram``."""
    parser.add_argument(
        "--text", required=True, action="append", metavar="FILE", help="sentences, .gz too; may be repeated"
    )
    parser.add_argument("--out", required=True, metavar="FILE", help="the model, e.g. 4gram.arpa")
    parser.add_argument(
        "--units", default="token", choices=UNITS, help="token: search without a lexicon; word: with one"
    )
    parser.add_argument(
        "--token_dir", default=None, metavar="DIR", help="token list of stage 2, for --units token"
    )
    parser.add_argument("--order", type=int, default=4, help="2 to 5")
    parser.add_argument(
        "--backend", default="auto", choices=("auto", *BACKENDS), help="auto: lmplz where it is on PATH"
    )
    parser.add_argument(
        "--text_format",
        default="auto",
        choices=FORMATS,
        help="table: an id opens each line; auto: a file 'text' of a data directory is a table",
    )
    parser.add_argument(
        "--normalizer", default="none", choices=tuple(NORMALIZERS), help="applied to each sentence"
    )
    parser.add_argument(
        "--lang", default=None, metavar="CODE", help="language, where the normaliser needs it"
    )


def run(args: argparse.Namespace) -> None:
    """Make the model."""
    make_ngram(
        args.text,
        args.out,
        units=args.units,
        token_dir=args.token_dir,
        order=args.order,
        backend=args.backend,
        text_format=args.text_format,
        normalizer=args.normalizer,
        lang=args.lang,
    )
