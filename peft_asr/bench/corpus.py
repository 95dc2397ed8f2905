"""A corpus of noise with the lengths of real utterances and random transcripts, as stage 2 leaves one."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import soundfile

from peft_asr.bench.setting import Setting
from peft_asr.data.audio import SAMPLE_RATE_HZ
from peft_asr.data.data_dir import write_data_dir
from peft_asr.data.dump_job import flac_path
from peft_asr.errors import UserError
from peft_asr.files import new_directory
from peft_asr.text.build import make_tokens

LENGTHS = Path(__file__).resolve().parents[2] / "tools" / "bench" / "lengths.tsv"
CHARACTERS_PER_S = 14  # of English read aloud, blanks included
_LETTERS = list("abcdefghijklmnopqrstuvwxyz")
_MEAN_WORD = 4.5  # letters


def read_lengths(path: Path | None = None) -> list[float]:
    """Seconds of each utterance in a list, the shipped one if none is given.

    Raises:
        UserError: the list is missing or damaged.
    """
    path = path or LENGTHS
    try:
        lines = path.read_text(encoding="utf-8").splitlines()
        return [float(line.split("\t")[1]) for line in lines if line and not line.startswith("#")]
    except (OSError, IndexError, ValueError) as err:
        raise UserError(
            f"cannot read the list of utterance lengths {path} ({err}); restore it from git"
        ) from err


def write_corpus(setting: Setting) -> None:
    """Write ``setting.corpus``, unless it is there.

    Raises:
        UserError: the disk is full or cannot be written.
    """
    if setting.corpus.is_dir():
        return
    generator = np.random.default_rng(setting.seed)
    with new_directory(setting.corpus) as temporary:
        for name, count in (
            ("train", setting.utterances), ("valid", 2), ("test", setting.decode_utterances),
        ):  # fmt: skip
            if setting.utterance_s is None:
                lengths_s = generator.choice(read_lengths(), count)
            else:
                lengths_s = np.full(count, setting.utterance_s)
            _write_set(temporary / name, setting.corpus / name, lengths_s.tolist(), generator)
        make_tokens(temporary / "train" / "text", "char", temporary / "tokens")


def _write_set(folder: Path, final: Path, lengths_s: Sequence[float], generator: np.random.Generator) -> None:
    """Write one data directory in ``folder``, which will lie at ``final``."""
    texts, counts, paths = {}, {}, {}
    for number, length_s in enumerate(lengths_s):
        utt = f"{final.name}-{number:04d}"
        samples = round(length_s * SAMPLE_RATE_HZ)
        noise = (0.1 * generator.standard_normal(samples)).clip(-1, 1)
        flac_path(folder, utt).parent.mkdir(parents=True, exist_ok=True)
        soundfile.write(flac_path(folder, utt), noise, SAMPLE_RATE_HZ, subtype="PCM_16")
        texts[utt] = random_text(max(1, int(length_s * CHARACTERS_PER_S)), generator)
        counts[utt], paths[utt] = str(samples), str(flac_path(final, utt))
    speakers = dict.fromkeys(texts, "noise")
    write_data_dir(
        folder,
        {
            "utt2spk": speakers,
            "text": texts,
            "utt2lang": None,
            "utt2num_samples": counts,
            "wav.scp": paths,
        },
    )


def random_text(characters: int, generator: np.random.Generator) -> str:
    """So many characters: random letters in words of natural length, one blank between two words."""
    text = generator.choice(_LETTERS, characters)
    blank = generator.random(characters) < 1 / (_MEAN_WORD + 1)
    blank[0] = blank[-1] = False
    blank[1:] &= ~blank[:-1]  # a blank beside a blank would be one
    return "".join(np.where(blank, " ", text))
