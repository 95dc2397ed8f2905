"""Models of a fixed window (Whisper, AST): utterances cut into windows, and their states joined again."""

import torch
import torch.nn.functional as F
from torch import Tensor

from peft_asr.errors import UserError
from peft_asr.upstream.geometry import Geometry


def cut(x: Tensor, lengths: Tensor, geometry: Geometry) -> tuple[Tensor, Tensor]:
    """Windows as rows of their own.

    Args:
        x: (B, N) waveforms, or (B, W * T, D) activations of whole windows.
        lengths: (B,) samples.

    Returns:
        (B * W, window) or (B * W, T, D), and (B * W,) samples of speech in each window. Both arguments as they are
        for a model of any length.

    Raises:
        UserError: an utterance is longer than one window, and the model may not cut it.
    """
    window = geometry.window_samples
    if not window:
        return x, lengths
    longest = int(lengths.max())
    if longest > window and not geometry.windowed:
        raise UserError(
            f"an utterance of {longest / 16000:.2f} s is longer than the {window / 16000:.2f} s that this upstream "
            "takes; upstream.long_audio=window cuts it into windows, data.max_s leaves it out of training"
        )
    count = max(1, -(-longest // window))
    if x.ndim == 2:
        x = x[:, : count * window]
        x = F.pad(x, (0, count * window - x.shape[1])).reshape(-1, window)
    else:
        x = x.reshape(len(x) * count, -1, x.shape[-1])
    return x, inside(lengths, geometry)


def inside(lengths: Tensor, geometry: Geometry) -> Tensor:
    """(B,) samples -> (B * W,) samples of speech in each window of each utterance."""
    window = geometry.window_samples
    starts = torch.arange(max(1, -(-int(lengths.max()) // window)), device=lengths.device) * window
    return (lengths[:, None] - starts).clamp(0, window).reshape(-1)


def join(
    states: list[Tensor | None], frames: Tensor, batch: int, geometry: Geometry
) -> tuple[list[Tensor | None], Tensor]:
    """The windows of each utterance in one row again; all but an utterance's last are full, so frames are too."""
    if not geometry.window_samples:
        return states, frames
    frames = frames.view(batch, -1).sum(dim=1)
    longest = int(frames.max())  # silence after it is of no use to a head
    joined = [s if s is None else s.reshape(batch, -1, s.shape[-1])[:, :longest] for s in states]
    return joined, frames
