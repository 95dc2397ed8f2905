"""Make Kaldi directories of a corpus in a common format: TSV, CSV, JSONL, metadata.csv, Kaldi, Hugging Face, lhotse."""

import argparse
import sys
from pathlib import Path

from peft_asr.bin.options import boolean


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Arguments of ``peft-asr import-corpus``."""
    parser.add_argument("--corpus", required=True, help="file, folder or hf:ORG/NAME[:CONFIGURATION]")
    parser.add_argument("--out", type=Path, required=True, help="folder for the directories, e.g. data")
    parser.add_argument("--prefix", default="", help="of the directories' names")
    parser.add_argument("--data_seed", type=int, default=0, help="of the split, where the corpus has none")
    parser.add_argument("--lang", default=None, help="language of utterances that do not say it")
    parser.add_argument("--audio_dir", type=Path, default=None, help="where relative paths start")
    parser.add_argument("--allow_pipes", type=boolean, default=False, help="wav.scp may hold commands")
    parser.add_argument("--skip_bad", type=boolean, default=False, help="leave out what cannot be read")
    parser.add_argument("--list_sets", type=boolean, default=False, help="only print the sets' names")


def run(args: argparse.Namespace) -> None:
    """Import, or only say what sets there will be."""
    from peft_asr.data.corpus import import_corpus, list_sets

    if args.list_sets:
        print(list_sets(args.corpus, args.prefix, args.audio_dir), end="")
        return
    done = import_corpus(
        args.corpus,
        args.out,
        prefix=args.prefix,
        data_seed=args.data_seed,
        lang=args.lang,
        audio_dir=args.audio_dir,
        allow_pipes=args.allow_pipes,
        skip_bad=args.skip_bad,
    )
    for note in done.notes:
        print(note, file=sys.stderr)
    for name, about in done.sets.items():
        print(f"{name}: {about}")
