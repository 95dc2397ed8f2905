"""Speed perturbation: as long as it should be, the pitch going along, the same for the same seed."""

import numpy as np
import pytest
import torch

from peft_asr.data.dataset import SpeechDataset
from peft_asr.data.loader import SpeechLoader
from peft_asr.data.speed import check_speeds, perturb
from peft_asr.errors import UserError
from tests.decode.small_world import write_dump


def tone(hz: float, seconds: float = 1.0) -> np.ndarray:
    return np.sin(2 * np.pi * hz * np.arange(int(16000 * seconds)) / 16000).astype(np.float32)


@pytest.mark.parametrize("speed", [0.9, 1.0, 1.1, 2.0])
def test_a_tone_gets_shorter_and_higher(speed):
    out = perturb(tone(400.0), [speed], 0, 1, "utt")
    assert out.dtype == np.float32 and len(out) == pytest.approx(16000 / speed, abs=1)
    spectrum = np.abs(np.fft.rfft(out * np.hanning(len(out))))
    assert spectrum.argmax() * 16000 / len(out) == pytest.approx(400 * speed, rel=0.01)


def test_drawn_by_seed_epoch_and_utterance():
    def lengths(seed, epoch):
        return [len(perturb(tone(100.0, 0.1), [0.9, 1.0, 1.1], seed, epoch, f"u{i}")) for i in range(30)]

    assert lengths(0, 1) == lengths(0, 1)
    assert lengths(0, 1) != lengths(0, 2) and lengths(0, 1) != lengths(1, 1)
    assert len(set(lengths(0, 1))) == 3


def test_the_loader_perturbs_alike_with_and_without_processes(tmp_path):
    write_dump(tmp_path / "set", [0.5, 0.6, 0.7, 0.8])
    dataset = SpeechDataset.load(tmp_path / "set", None)

    def batches(workers, speeds):
        loader = SpeechLoader(dataset, 3.0, seed=1, num_workers=workers, speeds=speeds)
        return [(b.utt_ids, b.wav_lengths.tolist(), b.inputs) for b in loader.epoch(1)]

    plain, alone, other = batches(0, []), batches(0, [0.8, 1.2]), batches(1, [0.8, 1.2])
    assert [b[0] for b in plain] == [b[0] for b in alone]
    assert [b[1] for b in plain] != [b[1] for b in alone] == [b[1] for b in other]
    assert all(torch.equal(a[2], b[2]) for a, b in zip(alone, other, strict=True))


@pytest.mark.parametrize("speeds", [[0.4], [1.0, 2.5], [0.0]])
def test_factors_that_are_no_speech(speeds):
    with pytest.raises(UserError, match=r"data.speed_perturb holds .*; allowed: factors from 0.5 to 2"):
        check_speeds(speeds)
