#!/usr/bin/env python3
"""Pack Common Voice clips into one Ogg file per language and a table: how audio/ here was made.

    python3 local/pack.py cv-corpus-6.1-2020-12-11 audio --languages ca de en es fr ru rw tr

Takes the clips that train.tsv, dev.tsv and test.tsv of each language name, with their splits. Each clip is decoded,
resampled to 16 kHz mono and joined to the language's file, Opus at about 16 kbit/s; the table says where it lies.
"""

import argparse
import sys
from pathlib import Path

import soundfile

from peft_asr.data.audio import SAMPLE_RATE_HZ, read_audio
from peft_asr.data.corpus.table_files import read_tsv
from peft_asr.errors import UserError
from peft_asr.files import atomic_path, write_text

SPLITS = ("train", "dev", "test")
COLUMNS = ("lang", "split", "speaker", "clip", "start", "samples", "sentence")
OPUS_LEVEL = 0.957  # libsndfile: 0 is 256 kbit/s, 1 is 6 kbit/s


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("corpus", type=Path, help="folder of an extracted release: <lang>/{*.tsv,clips/}")
    parser.add_argument("out", type=Path)
    parser.add_argument("--languages", nargs="+", required=True)
    args = parser.parse_args()
    rows = ["\t".join(COLUMNS)]
    for lang in args.languages:
        rows += pack_language(args.corpus / lang, lang, args.out / f"{lang}.ogg")
    write_text(args.out / "utterances.tsv", "\n".join(rows) + "\n")
    size = sum(path.stat().st_size for path in args.out.iterdir())
    print(f"packed {len(rows) - 1} clips of {len(args.languages)} languages into {args.out}: {size:,} bytes")


def pack_language(corpus: Path, lang: str, ogg: Path) -> list[str]:
    """Write one language's file; returns the table's rows."""
    rows, start, speakers = [], 0, {}
    with (
        atomic_path(ogg) as temporary,
        soundfile.SoundFile(
            temporary, "w", SAMPLE_RATE_HZ, 1, "OPUS", format="OGG", compression_level=OPUS_LEVEL
        ) as out,
    ):
        for split in SPLITS:
            for clip in read_tsv(corpus / f"{split}.tsv"):
                samples = read_audio(str(corpus / "clips" / clip["path"]))
                out.write(samples)
                speaker = speakers.setdefault(clip["client_id"], f"{lang}{len(speakers) + 1:03d}")
                name = Path(clip["path"]).stem
                cells = (lang, split, speaker, name, str(start), str(len(samples)), clip["sentence"])
                rows.append("\t".join(cells))
                start += len(samples)
    return rows


if __name__ == "__main__":
    try:
        main()
    except UserError as err:
        sys.exit(f"pack.py: error: {err}")
