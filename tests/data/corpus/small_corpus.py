"""A corpus of a few seconds: what every format says, so that all readers can be held against one another."""

from pathlib import Path

import numpy as np
import soundfile

# utterance, speaker, split, seconds, text; NFD on purpose in one
UTTERANCES = [
    ("ann-1", "ann", "train", 0.5, "un deux"),
    ("ann-2", "ann", "train", 0.6, "trois"),
    ("bob-1", "bob", "validation", 0.4, "e\u0301te\u0301"),
    ("cyd-1", "cyd", "test", 0.7, "quatre  cinq"),
    ("dee-1", "dee", "test.noisy", 0.3, "six"),
]
SETS = {
    "train": {"ann-1": "un deux", "ann-2": "trois"},
    "dev": {"bob-1": "\u00e9t\u00e9"},
    "test": {"cyd-1": "quatre cinq"},
    "test.noisy": {"dee-1": "six"},
}


def write_audio(path: Path, seconds: float, rate_hz: int = 8000) -> Path:
    """Noise, a different one for each name."""
    path.parent.mkdir(parents=True, exist_ok=True)
    rng = np.random.default_rng(list(path.name.encode()))
    soundfile.write(path, 0.1 * rng.standard_normal(round(seconds * rate_hz)), rate_hz)
    return path


def write_corpus_audio(folder: Path) -> Path:
    """``folder/audio/<utterance>.wav`` for each; returns ``folder``."""
    for utt, _, _, seconds, _ in UTTERANCES:
        write_audio(folder / "audio" / f"{utt}.wav", seconds)
    return folder


def table(columns: tuple[str, ...] = ("path", "text", "utt_id", "speaker", "split"), tab: str = "\t") -> str:
    """The corpus as TSV text with these columns."""
    lines = [tab.join(columns)]
    for utt, speaker, split, _, text in UTTERANCES:
        values = {
            "path": f"audio/{utt}.wav",
            "text": text,
            "utt_id": utt,
            "speaker": speaker,
            "split": split,
            "lang": "fr",
        }
        lines.append(tab.join(values[name] for name in columns))
    return "\n".join(lines) + "\n"
