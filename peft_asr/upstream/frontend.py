"""Waveform to features: the convolutional frontend, with group-norm statistics over real samples only."""

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from peft_asr.errors import UserError
from peft_asr.upstream.geometry import Geometry
from peft_asr.upstream.products import Products, applies


class ConvFrontend(nn.Module):
    """The seven (or so) strided convolutions of wav2vec 2.0 and its kin.

    Args:
        conv_layers: fairseq's blocks; each is a sequence [conv, dropout, (norm,) activation].
        geometry: for lengths and the place of the norm.
        exact: each utterance of a padded batch gives what it gives alone, by taking the statistics of the group
            norm over its own frames. False: over the padding too, as s3prl does.
    """

    def __init__(self, conv_layers: nn.ModuleList, geometry: Geometry, exact: bool = True):
        super().__init__()
        self.conv_layers = conv_layers
        self.geometry = geometry
        self.exact = exact
        self._products = Products(conv_layers)

    def forward(self, wavs: Tensor, lengths: Tensor) -> Tensor:
        """wavs: (B, N) float; lengths: (B,) samples. Returns (B, T, C); frames beyond an utterance are arbitrary.

        Raises:
            UserError: an utterance is too short for one frame.
        """
        padded = check_lengths(lengths, self.geometry) < wavs.shape[1]
        if (self.exact or not padded) and applies(self.conv_layers, wavs):
            return self._products(wavs, lengths)
        x = wavs.unsqueeze(1)
        for index, block in enumerate(self.conv_layers):
            if index == 0 and self.geometry.group_norm and self.exact and padded:
                x = self._first_block(block, x, lengths)
            else:
                x = block(x)
        return x.transpose(1, 2)

    def _first_block(self, block: nn.Sequential, x: Tensor, lengths: Tensor) -> Tensor:
        conv, dropout, norm, activation = block
        x = dropout(conv(x))
        _, kernel, stride = self.geometry.conv[0]
        frames = ((lengths - kernel) // stride + 1).tolist()
        total = x.shape[-1]
        # Group norm sees one utterance at a time, exactly as if it were alone.
        x = torch.cat([F.pad(norm(x[i : i + 1, :, :n]), (0, total - n)) for i, n in enumerate(frames)])
        return activation(x)


def check_lengths(lengths: Tensor, geometry: Geometry) -> int:
    """The shortest of (B,) lengths in samples.

    Raises:
        UserError: it is too short for one frame.
    """
    shortest = int(lengths.min())
    if shortest < geometry.min_samples:
        raise UserError(
            f"an utterance of {shortest} samples is too short for this upstream, which needs "
            f"{geometry.min_samples}; leave it out in stage 2 (dump-audio --min_s)"
        )
    return shortest


def normalize_waveforms(wavs: Tensor, lengths: Tensor) -> Tensor:
    """Zero mean and unit variance for each utterance over its own samples; zeros beyond. (B, N) -> (B, N)."""
    out = torch.zeros_like(wavs)
    for i, n in enumerate(lengths.tolist()):
        out[i, :n] = F.layer_norm(wavs[i, :n], (n,))
    return out
