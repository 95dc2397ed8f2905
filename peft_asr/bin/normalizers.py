"""List the text normalisers, and what each makes of a line (--text)."""

import argparse
import inspect

from peft_asr.errors import UserError
from peft_asr.text.normalize import NORMALIZERS

EXAMPLE = "L\u2019été [bruit], peut-être, n'est pas fini\u00a0: 3,5 km !"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """A line of one's own, and its language."""
    parser.add_argument("--text", default=EXAMPLE, metavar="LINE", help="what to normalise")
    parser.add_argument("--lang", default=None, metavar="CODE", help="its language, e.g. fra or tr")


def run(args: argparse.Namespace) -> None:
    """Print name, description and example of each."""
    print(f"text:  {args.text}")
    for name, normalizer in NORMALIZERS.items():
        description = inspect.getdoc(normalizer).splitlines()[0].rstrip(".")
        try:
            result = normalizer(args.text, args.lang)
        except UserError as err:
            result = f"(no: {err})"
        print(f"\n{name}: {description}\n       {result}")
