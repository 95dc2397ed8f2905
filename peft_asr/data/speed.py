"""Speed perturbation (Ko et al., Interspeech 2015): the same speech faster or slower, its pitch going along."""

import hashlib

import numpy as np
import torch

from peft_asr import compat  # noqa: F401  makes torchaudio importable
from peft_asr.errors import UserError

LOWEST, HIGHEST = 0.5, 2.0


def check_speeds(speeds: list[float]) -> None:
    """Raise UserError for factors that are not between 0.5 and 2."""
    for speed in speeds:
        if not LOWEST <= speed <= HIGHEST:
            raise UserError(
                f"data.speed_perturb holds {speed:g}; allowed: factors from {LOWEST:g} to {HIGHEST:g}"
            )


def perturb(samples: np.ndarray, speeds: list[float], seed: int, epoch: int, utt: str) -> np.ndarray:
    """The samples (N,) at a speed drawn for this utterance in this epoch: about N / speed of them."""
    digest = hashlib.sha256(f"{seed} speed {epoch} {utt}".encode()).digest()
    speed = speeds[int.from_bytes(digest[:8], "little") % len(speeds)]
    if speed == 1:
        return samples
    from torchaudio.functional import resample

    # Played at the old rate, what was resampled from 100 x speed to 100 is faster by that factor.
    return resample(torch.from_numpy(samples), round(100 * speed), 100).numpy()
