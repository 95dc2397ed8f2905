"""How large a dump will be, before it is written."""

import shutil
from pathlib import Path

import numpy as np

from peft_asr.data.dataset import SpeechDataset
from peft_asr.errors import UserError
from peft_asr.frozen.place import Model
from peft_asr.upstream.boundary import CONV, parse_boundary


def rows(model: Model, boundary: str, samples: int) -> int:
    """Vectors that an utterance of so many samples has at a boundary."""
    encoder, window = model.encoder, model.encoder.geometry.window_samples
    if not window or parse_boundary(boundary, len(encoder.layers)) >= len(encoder.layers):
        return encoder.geometry.num_frames(samples)
    # Models of a fixed window keep whole windows.
    return -(-samples // window) * encoder.geometry.num_frames(window)


def width(model: Model, boundary: str) -> int:
    """Numbers in each of them."""
    encoder = model.encoder
    if parse_boundary(boundary, len(encoder.layers)) == CONV:
        return encoder.geometry.conv[-1][0]
    return encoder.state_widths[-1]


class Size:
    """The bytes of one set's dump, and the sum in words: ``train: 100 h x 50 Hz x 768 x 2 B = 27.6 GB``."""

    def __init__(self, model: Model, boundary: str, states: int, dtype: str, dataset: SpeechDataset):
        total = sum(rows(model, boundary, u.samples) for u in dataset.utterances)
        item, each = np.dtype(dtype).itemsize, width(model, boundary)
        self.bytes = total * each * item * (states or 1)
        several = f"{states} states x " if states else ""
        self.text = (
            f"{dataset.name}: {duration(dataset.seconds)} x {total / max(dataset.seconds, 1e-9):.0f} Hz x "
            f"{several}{each} x {item} B = {gigabytes(self.bytes)}"
        )


def check_room(folder: Path, total: int, needed: int, limit_gb: float) -> str:
    """Why ``needed`` bytes, for ``total`` in all, should not be written there, or an empty string."""
    if total > limit_gb * 1e9:
        return f"{gigabytes(total)} are more than --dump_limit_gb {limit_gb:g}"
    there = folder
    while not there.exists():
        there = there.parent
    try:
        free = shutil.disk_usage(there).free
    except OSError as err:
        raise UserError(f"cannot tell how much room there is in {there}: {err.strerror}") from err
    if needed > free:
        return f"{gigabytes(needed)} are more than the {gigabytes(free)} that are free in {there}"
    return ""


def gigabytes(size: float) -> str:
    """``27.6 GB``, ``310.0 MB``."""
    return f"{size / 1e9:.1f} GB" if size >= 1e9 else f"{size / 1e6:.1f} MB"


def duration(seconds: float) -> str:
    """``100 h``, ``12.5 min``, ``8.1 s``."""
    for unit, length in (("h", 3600), ("min", 60)):
        if seconds >= length:
            return f"{seconds / length:.3g} {unit}"
    return f"{seconds:.3g} s"
