"""An s3prl expert without uniform layers, seen as an encoder."""

import torch
from torch import Tensor, nn
from torch.nn.utils.rnn import pad_sequence

from peft_asr.upstream.boundary import AUDIO
from peft_asr.upstream.encoder import Encoder, Masker
from peft_asr.upstream.frontend import check_lengths
from peft_asr.upstream.geometry import Geometry
from peft_asr.upstream.hub_opaque import FAMILIES
from peft_asr.upstream.transformer import frames_by_convolution

# What s3prl's own code raises when a file or a waveform does not suit it.
FAILURES = (
    ArithmeticError, AssertionError, AttributeError, ImportError, LookupError, OSError, RuntimeError, TypeError,
    ValueError, NotImplementedError,
)  # fmt: skip
_PROBE_SAMPLES = 16000


class OpaqueEncoder(Encoder):
    """An s3prl expert as an encoder without layers.

    Utterances run one by one, because many of these models see the padding of a batch; it costs time, and a batch
    gives exactly what each utterance gives alone. ``padding="s3prl"`` hands s3prl the whole batch. Frames are those
    that all states have. Parameters that the last state does not depend on (prediction heads of pre-training) are
    turned into buffers: nothing trains them. Dropouts never act, also in ``full``. Masks of training lie on what
    the head sees.

    Args:
        expert: s3prl's ``UpstreamExpert``, with weights.
        family: key of ``FAMILIES``.
        label: what sets it apart from others without weights (fbank, mfcc); becomes part of its fingerprint.
    """

    def __init__(self, expert: nn.Module, family: str, label: str, exact: bool = True):
        expert.eval()
        probe = torch.randn(_PROBE_SAMPLES, generator=torch.Generator().manual_seed(0)) * 0.1
        _freeze_unused(expert, probe)
        with torch.no_grad():
            states = _states_of(expert, [probe])
            conv = _fit_lengths(expert, probe)
        super().__init__(
            geometry=Geometry(
                family, dim=states[-1].shape[-1], ffn=0, heads=0, layers=0, conv=(conv,), group_norm=False,
                least_samples=_shortest(expert, probe, conv), no_layers=FAMILIES[family].no_layers,
            ),
            frontend=nn.Identity(), projection=nn.Identity(), position=nn.Identity(), layers=nn.ModuleList(),
            final_norm=None, mask_emb=None, frame_lengths=frames_by_convolution,
        )  # fmt: skip
        self.widths = [state.shape[-1] for state in states]
        self.exact = exact
        self.register_buffer("label", torch.tensor(list(label.encode()), dtype=torch.uint8))
        self.upstream = expert.requires_grad_(False)
        self.eval()

    @property
    def num_states(self) -> int:
        """How many hidden states s3prl's expert lists."""
        return len(self.widths)

    @property
    def state_widths(self) -> list[int]:
        """Width of each hidden state."""
        return list(self.widths)

    @property
    def masks_output(self) -> bool:
        """There is no place further down, also in ``full``."""
        return True

    def _run(
        self, wavs: Tensor, lengths: Tensor, masker: Masker | None, keep_all: bool, at: int = AUDIO
    ) -> tuple[list[Tensor], Tensor]:
        """All hidden states, whatever is asked for; widths may differ between states."""
        check_lengths(lengths, self.geometry)
        parts = [wav[:n].float() for wav, n in zip(wavs, lengths.tolist(), strict=True)]
        trains = self.boundary < 0
        # Spectra need float32; and cuDNN has no backward pass for recurrent layers in eval mode.
        with (
            torch.autocast(wavs.device.type, enabled=False),
            torch.backends.cudnn.flags(enabled=torch.backends.cudnn.enabled and not trains),
            torch.set_grad_enabled(torch.is_grad_enabled() and trains),
        ):
            if not self.exact:
                frames = [self.geometry.num_frames(len(part)) for part in parts]
                return _states_of(self.upstream, parts), torch.tensor(frames, device=wavs.device)
            alone = [_states_of(self.upstream, [part]) for part in parts]
        states = [
            pad_sequence([state[0] for state in same], batch_first=True) for same in zip(*alone, strict=True)
        ]
        return states, torch.tensor([own[0].shape[1] for own in alone], device=wavs.device)


def _states_of(expert: nn.Module, wavs: list[Tensor]) -> list[Tensor]:
    """The hidden states (B, T, D_i), cut to the frames that all have."""
    found = expert(wavs).get("hidden_states")
    if not found:
        raise ValueError("it gives no hidden states")
    frames = min(state.shape[1] for state in found)
    return [state[:, :frames] for state in found]


def _freeze_unused(expert: nn.Module, probe: Tensor) -> None:
    """Turn parameters that the last state does not depend on into buffers of the same names."""
    named = [(name, p) for name, p in expert.named_parameters() if p.requires_grad]
    with torch.enable_grad():
        last = _states_of(expert, [probe])[-1]
        grads = [None] * len(named)
        if last.requires_grad:
            grads = torch.autograd.grad(last.square().sum(), [p for _, p in named], allow_unused=True)
    used = {name for (name, _), grad in zip(named, grads, strict=True) if grad is not None}
    for name, parameter in list(expert.named_parameters()):
        if name not in used:
            owner, _, leaf = name.rpartition(".")
            module = expert.get_submodule(owner)
            delattr(module, leaf)
            module.register_buffer(leaf, parameter.detach())


def _fit_lengths(expert: nn.Module, probe: Tensor) -> tuple[int, int, int]:
    """(width, kernel, stride) such that (samples - kernel) // stride + 1 is the number of frames."""
    stride = int(expert.get_downsample_rates("hidden_states"))
    low = len(probe) - stride
    few = _states_of(expert, [probe[:low]])[-1].shape[1]
    last = _states_of(expert, [probe])[-1]
    if last.shape[1] != few + 1:
        raise ValueError(f"its frames do not come every {stride} samples, which it says they do")
    high = len(probe)  # the first length with one frame more lies in (low, high]
    while high - low > 1:
        middle = (low + high) // 2
        if _states_of(expert, [probe[:middle]])[-1].shape[1] > few:
            high = middle
        else:
            low = middle
    return last.shape[2], high - few * stride, stride


def _shortest(expert: nn.Module, probe: Tensor, conv: tuple[int, int, int]) -> int:
    """The shortest waveform of a few that gives finite states of the right length."""
    _, kernel, stride = conv
    for samples in (400, 560, 800, 1200, 1600, 3200, 8000):
        try:
            with torch.no_grad():
                last = _states_of(expert, [probe[:samples]])[-1]
        except FAILURES:
            continue
        if last.isfinite().all() and last.shape[1] == (samples - kernel) // stride + 1 > 0:
            return samples
    raise ValueError("it takes no utterance shorter than half a second")
