"""``peft-asr COMMAND``: finds the command's module, reads its arguments, turns a UserError into one line."""

import argparse
import importlib
import keyword
import logging
import sys

from peft_asr import __version__
from peft_asr.errors import UserError, nearest

# name -> one line of help. The module is peft_asr.bin.<name with _> (import_ for `import`, which is a word of
# Python's), imported only when its command runs, because torch alone takes a second to import. It defines
# add_arguments(parser) and run(args) -> exit status or None.
COMMANDS = {
    "doctor": "print versions, device and missing optional parts",
    "upstreams": "list the upstreams that have a name: size, licence, where they come from, which methods fit",
    "count": "count trainable parameters of a method on an upstream, without weights",
    "new-recipe": "make egs/NAME from another recipe",
    "import-corpus": "stage 1: Kaldi directories of a TSV, CSV, JSONL, Kaldi, Hugging Face or lhotse corpus",
    "validate-data-dir": "check a Kaldi data directory",
    "fix-data-dir": "sort a Kaldi data directory and keep the utterances that every file has",
    "dump-audio": "stage 2: write 16 kHz flac files and a new data directory",
    "dump-features": "stage 2: write what the frozen part of the upstream makes of the audio",
    "normalizers": "list the text normalisers and what they make of a line",
    "tokens": "stage 2: make a token list (char, bpe, unigram, phone)",
    "ngram": "stage 2: make an n-gram language model of tokens or words",
    "train": "stage 3: train a method on a frozen upstream",
    "tune-decode": "stage 4: choose the weights of a beam search on a validation set",
    "decode": "stage 4: write hypotheses for a data directory",
    "score": "stage 5: word and character error rates with alignments",
    "results": "stage 5: put a run into the recipe's RESULTS.md",
    "transcribe": "print the text of audio files with a trained adapter",
    "info": "say what a trained adapter is",
    "merge": "put a trained method into its upstream's weights",
    "export": "write a trained experiment for transformers or huggingface/peft",
    "bench": "measure training and decoding beside what people use now",
    "import": "make an experiment of a LoRA adapter of huggingface/peft",
}


def main(argv: list[str] | None = None) -> int:
    """Run one command; returns the exit status (0 ok, 1 bad input or failure, 2 usage, 130 interrupted)."""
    argv = sys.argv[1:] if argv is None else argv
    if not argv or argv[0] in ("-h", "--help"):
        print(_overview())
        return 0
    if argv[0] == "--version":
        print(__version__)
        return 0
    name = argv[0]
    if name not in COMMANDS:
        print(
            f"peft-asr: unknown command '{name}'{nearest(name, COMMANDS)}; allowed: {', '.join(COMMANDS)}",
            file=sys.stderr,
        )
        return 2
    logging.basicConfig(
        level=logging.INFO,
        format="%(asctime)s (%(module)s:%(lineno)d) %(levelname)s: %(message)s",
        stream=sys.stderr,
    )
    try:
        module = _module(name)
        parser = argparse.ArgumentParser(
            prog=f"peft-asr {name}",
            description=module.__doc__,
            formatter_class=argparse.ArgumentDefaultsHelpFormatter,
            allow_abbrev=False,
        )
        module.add_arguments(parser)
        return module.run(parser.parse_args(argv[1:], argparse.Namespace(argv=argv))) or 0
    except UserError as err:
        print(f"peft-asr {name}: error: {err}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print(f"peft-asr {name}: interrupted; run the same command again to go on", file=sys.stderr)
        return 130
    except BrokenPipeError:
        # The reader of our output (head, less) has gone: not an error, but Python must not try to flush again.
        sys.stderr.close()
        return 0


def _module(name: str):
    file = f"{name}_" if keyword.iskeyword(name) else name.replace("-", "_")
    return importlib.import_module(f"peft_asr.bin.{file}")


def _overview() -> str:
    width = max(map(len, COMMANDS))
    lines = [f"  {name:<{width}}  {text}" for name, text in COMMANDS.items()]
    return (
        "usage: peft-asr COMMAND [options]\n\ncommands:\n"
        + "\n".join(lines)
        + "\n\n'peft-asr COMMAND --help' tells more."
    )


if __name__ == "__main__":
    sys.exit(main())
