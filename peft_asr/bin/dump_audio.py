"""Stage 2: write the audio of a data directory as 16 kHz flac files. After a kill, goes on where it was."""

import argparse

from peft_asr.bin.options import boolean
from peft_asr.data.dump import dump_audio
from peft_asr.text.normalize import NORMALIZERS


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Arguments of ``peft-asr dump-audio``."""
    parser.add_argument("--data", required=True, metavar="DIR", help="data directory from stage 1")
    parser.add_argument("--out", required=True, metavar="DIR", help="where to write, e.g. dump/audio/train")
    parser.add_argument("--nj", type=int, default=1, help="processes")
    parser.add_argument(
        "--skip_bad", type=boolean, default=False, help="leave bad utterances out instead of failing"
    )
    parser.add_argument("--allow_pipes", type=boolean, default=False, help="run the commands in wav.scp")
    parser.add_argument("--min_s", type=float, default=0.05, help="shorter utterances are bad")
    parser.add_argument(
        "--normalizer",
        default="none",
        metavar="NAME",
        help=f"of the transcripts: {', '.join(NORMALIZERS)} (peft-asr normalizers tells what they do)",
    )
    parser.add_argument(
        "--lang", default=None, metavar="CODE", help="language of all transcripts, where there is no utt2lang"
    )


def run(args: argparse.Namespace) -> None:
    """Dump."""
    dump_audio(
        args.data, args.out, args.nj, args.skip_bad, args.allow_pipes, args.min_s, args.normalizer, args.lang
    )
