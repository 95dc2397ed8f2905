"""Stage 2: make a token list (tokens.txt) from the text of the training set."""

import argparse

from peft_asr.text.build import make_tokens
from peft_asr.text.tokenizer import TYPES


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Arguments of ``peft-asr tokens``."""
    parser.add_argument("--text", required=True, metavar="FILE", help="text of the training set")
    parser.add_argument("--type", default="char", choices=TYPES, help="kind of tokens")
    parser.add_argument("--nbpe", type=int, default=100, help="number of bpe or unigram pieces")
    parser.add_argument("--lexicon", default=None, metavar="FILE", help="phone: lines 'word phone phone ...'")
    parser.add_argument(
        "--task",
        default="asr",
        choices=("asr", "pr", "lid", "asr_lid"),
        help="lid: languages alone; asr_lid: languages and --type",
    )
    parser.add_argument(
        "--utt2lang", default=None, metavar="FILE", help="of the training set, for --task lid and asr_lid"
    )
    parser.add_argument("--out", required=True, metavar="DIR", help="where to write, e.g. dump/tokens/char")


def run(args: argparse.Namespace) -> None:
    """Make the list."""
    make_tokens(args.text, args.type, args.out, args.nbpe, args.lexicon, args.task, args.utt2lang)
