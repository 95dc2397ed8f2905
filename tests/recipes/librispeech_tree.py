"""Small trees in LibriSpeech's official layout, of noise."""

from pathlib import Path

import numpy as np
import soundfile


def write_chapter(
    part: Path, reader: int, chapter: int, numbers: range = range(2), seconds: float = 1.0
) -> list[str]:
    """``<part>/<reader>/<chapter>/`` with its transcripts; returns the utterance ids."""
    rng = np.random.default_rng(1000 * reader + chapter)
    folder = part / str(reader) / str(chapter)
    folder.mkdir(parents=True)
    utterances = [f"{reader}-{chapter}-{number:04d}" for number in numbers]
    for utt in utterances:
        soundfile.write(folder / f"{utt}.flac", 0.1 * rng.standard_normal(int(16000 * seconds)), 16000)
    word = "TEN" if reader % 2 else "ELEVEN"
    lines = "".join(f"{utt} READER {word} SAYS IT'S\n" for utt in utterances)
    (folder / f"{reader}-{chapter}.trans.txt").write_text(lines)
    return utterances


def write_part(corpus: Path, part: str, readers: list[int], seconds: float = 1.0) -> int:
    """Two chapters of two utterances for every reader; returns the number of utterances."""
    for reader in readers:
        for chapter in (7, 12):
            write_chapter(corpus / part, reader, chapter, seconds=seconds)
    return 4 * len(readers)


def expect(recipe, **counts: int) -> None:
    """Let the recipe's table of parts expect these counts, 40 utterances of training parts and 4 of any other."""
    table = recipe.folder / "local" / "parts.tsv"
    lines = table.read_text().splitlines()
    for number, line in enumerate(lines[1:], start=1):
        part, name, _, size, md5 = line.split("\t")
        default = 40 if name.startswith("train") else 4
        lines[number] = "\t".join([part, name, str(counts.get(name, default)), size, md5])
    table.write_text("\n".join(lines) + "\n")
