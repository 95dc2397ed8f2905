"""The frozen convolutional frontend as matrix products: what a CPU does much faster than convolutions.

Frames lie in memory one after the other, (T, C). The inputs of a strided convolution are then rows of that memory: with
stride s, taps 0 .. s-1 of all output frames are one matrix without a copy, and so are the next s taps. A base model's
group norm has one channel in each group, and its first convolution one input channel, so that the statistics follow
from the covariance of the waveform's windows (10 x 10), and the norm is a change of the convolution's weights.
Utterances run one by one: none sees another's padding, and none is computed.

HuBERT base on two cores, 40 s of speech: 0.25 s instead of 1.35 s in bfloat16, 0.9 s instead of 1.4 s in float32.
"""

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.nn.utils.rnn import pad_sequence

# In bfloat16 a kernel is compiled for every new length, which takes longer than to compute some frames too many.
_ROUNDED_SAMPLES = 10240


class Products:
    """The blocks of a frontend, without autograd.

    Args:
        blocks: fairseq's, each a sequence [conv, dropout, (norm,) activation].
    """

    def __init__(self, blocks: nn.ModuleList):
        self.blocks = blocks
        self._weights: dict[torch.dtype, tuple[list[int], list[list[Tensor]]]] = {}

    @torch.no_grad()
    def __call__(self, wavs: Tensor, lengths: Tensor) -> Tensor:
        """wavs: (B, N) float32; lengths: (B,) samples. Returns (B, T, C), zero beyond each utterance."""
        dtype = torch.get_autocast_dtype("cpu") if torch.is_autocast_enabled("cpu") else torch.float32
        weights = self._all_weights(dtype)
        with torch.autocast("cpu", enabled=False):
            pairs = zip(wavs, lengths.tolist(), strict=True)
            return pad_sequence([self._one(wav[:n], weights, dtype) for wav, n in pairs], batch_first=True)

    def _one(self, wav: Tensor, weights: list[list[Tensor]], dtype: torch.dtype) -> Tensor:
        frames = samples = len(wav)
        if dtype != torch.float32:
            wav = F.pad(wav, (0, -samples % _ROUNDED_SAMPLES))
        x = wav[:, None]
        for block, products in zip(self.blocks, weights, strict=True):
            conv, norm, activation = block[0], _norm(block), block[-1]
            frames = (frames - conv.kernel_size[0]) // conv.stride[0] + 1
            if isinstance(norm, nn.GroupNorm):
                x = _normalised_first(x, samples, conv, norm, dtype)
            else:
                x = _convolve(x.to(dtype), conv, products)
            if isinstance(norm, nn.LayerNorm):
                shape = norm.normalized_shape
                x = F.layer_norm(x.float(), shape, norm.weight.float(), norm.bias.float(), norm.eps).to(dtype)
            x = activation(x)
        return x[:frames]

    def _all_weights(self, dtype: torch.dtype) -> list[list[Tensor]]:
        # Made once: frozen weights change only when somebody loads others.
        versions = [v for b in self.blocks for v in (b[0].weight.data_ptr(), b[0].weight._version)]
        kept = self._weights.get(dtype)
        if kept is None or kept[0] != versions:
            kept = versions, [_taps(block[0], dtype) for block in self.blocks]
            self._weights = {dtype: kept}
        return kept[1]


def applies(blocks: nn.ModuleList, wavs: Tensor) -> bool:
    """Whether these blocks can run so, and whether that is wise: on a CPU, with nothing in them that trains."""
    if wavs.device.type != "cpu" or wavs.dtype != torch.float32:
        return False
    if torch.is_grad_enabled() and any(p.requires_grad for p in blocks.parameters()):
        return False
    for index, block in enumerate(blocks):
        conv, norm = block[0], _norm(block)
        if type(conv) is not nn.Conv1d or conv.padding[0] or conv.groups != 1 or conv.dilation[0] != 1:
            return False
        if isinstance(norm, nn.GroupNorm) and (
            index or conv.in_channels != 1 or norm.num_groups != conv.out_channels
        ):
            return False
    return True


def _norm(block: nn.Sequential) -> nn.Module | None:
    return next((m for m in block.modules() if isinstance(m, nn.GroupNorm | nn.LayerNorm)), None)


def _taps(conv: nn.Conv1d, dtype: torch.dtype) -> list[Tensor]:
    """(O, C, k) -> matrices (taps x C, O) of at most ``stride`` taps each."""
    weight, stride = conv.weight.detach().to(dtype), conv.stride[0]
    parts = weight.split(conv.kernel_size[0] if conv.in_channels == 1 else stride, dim=2)
    return [part.permute(2, 1, 0).reshape(-1, weight.shape[0]).contiguous() for part in parts]


def _convolve(x: Tensor, conv: nn.Conv1d, products: list[Tensor]) -> Tensor:
    """x: (T, C). Returns (T', O)."""
    kernel, stride = conv.kernel_size[0], conv.stride[0]
    if x.shape[1] == 1:
        y = x[:, 0].unfold(0, kernel, stride) @ products[0]
    else:
        x = x.contiguous()
        frames, step = (x.shape[0] - kernel) // stride + 1, stride * x.shape[1]
        y = None
        for index, matrix in enumerate(products):
            rows = x.as_strided((frames, matrix.shape[0]), (step, 1), x.storage_offset() + index * step)
            y = rows @ matrix if y is None else y.addmm_(rows, matrix)
    return y if conv.bias is None else y.add_(conv.bias.detach().to(y.dtype))


def _normalised_first(
    x: Tensor, samples: int, conv: nn.Conv1d, norm: nn.GroupNorm, dtype: torch.dtype
) -> Tensor:
    """Convolution of a waveform, and the norm of each channel over its ``samples``. x: (N, 1). Returns (T, O)."""
    kernel, stride = conv.kernel_size[0], conv.stride[0]
    # In bfloat16 a constant in the waveform would take the place of the speech.
    windows = (x[:, 0] - x[:samples].mean()).unfold(0, kernel, stride)
    weight = conv.weight.detach()[:, 0].double()
    exact = windows[: (samples - kernel) // stride + 1].double()
    mean = exact.mean(dim=0)
    centred = exact - mean
    covariance = centred.t() @ centred / len(exact)
    variance = ((weight @ covariance) * weight).sum(dim=1)
    scale = norm.weight.detach().double() * torch.rsqrt(variance + norm.eps)
    # The convolution's own bias is gone with the mean.
    shift = norm.bias.detach().double() - (weight @ mean) * scale
    return torch.addmm(shift.to(dtype), windows.to(dtype), (weight * scale[:, None]).t().to(dtype))
