"""A long recording in several languages, piece by piece."""

import numpy as np
import pytest
import soundfile

from peft_asr.decode.recogniser import Hypothesis
from peft_asr.decode.transcribe import transcribe


class Hears:
    """Stands in for a recogniser: hears one of ``pieces`` after another."""

    def __init__(self, pieces):
        self.pieces = list(pieces)

    def __call__(self, wavs, wav_lengths):
        return [Hypothesis(*self.pieces.pop(0))]

    def num_frames(self, samples):
        return samples // 320


@pytest.mark.parametrize(
    ("pieces", "text"),
    [
        ([("a b", 0.0, "swa"), ("c", 0.0, "fra"), ("", 0.0, "fra")], "[fra] a b c"),
        ([("a", 0.0, None), ("b", 0.0, "swa"), ("c", 0.0, "fra")], "[swa] a b c"),
        ([("a", 0.0, None), ("b", 0.0, None), ("", 0.0, None)], "a b"),
        ([("swa", 0.0, "swa"), ("fra", 0.0, "fra"), ("fra", 0.0, "fra")], "fra"),
        ([("", 0.0, None), ("fra", 0.0, "fra"), ("", 0.0, None)], "fra"),
        ([("", 0.0, "fra"), ("", 0.0, "fra"), ("", 0.0, "fra")], "[fra]"),
    ],
)
def test_the_language_of_most_pieces(tmp_path, pieces, text):
    noise = np.random.default_rng(0).normal(0.0, 0.1, 25 * 16000).astype(np.float32)
    soundfile.write(tmp_path / "long.wav", noise, 16000)
    assert transcribe(Hears(pieces), str(tmp_path / "long.wav"), max_s=10.0) == text
