"""The uniform encoder: any transformer upstream as frontend, positional stage and a list of layers."""

import itertools
from collections.abc import Callable
from contextlib import nullcontext

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.utils.checkpoint import checkpoint

from peft_asr.errors import UserError
from peft_asr.upstream.frontend import normalize_waveforms
from peft_asr.upstream.geometry import Geometry
from peft_asr.upstream.readout import LastState

# Where the trained part begins. Layer K (0 .. L-1) means: the input of layer K is still frozen; L means: all is.
AUDIO, CONV, FRONTEND = -3, -2, -1

Masker = Callable[[Tensor, Tensor, Tensor | None], Tensor]


def boundary_name(boundary: int, layers: int) -> str:
    """``audio``, ``conv``, ``frontend``, ``layer:K`` or ``all``."""
    if boundary < 0:
        return {AUDIO: "audio", CONV: "conv", FRONTEND: "frontend"}[boundary]
    return "all" if boundary >= layers else f"layer:{boundary}"


class Encoder(nn.Module):
    """A pre-trained model in the one form that all methods know.

    For a single utterance the hidden states are those of the reference implementation (s3prl's upstream expert,
    transformers' model). For a padded batch each utterance gives what it gives alone, which s3prl does not:
    group-norm statistics are taken over an utterance's own frames, padding is zeroed before every positional
    convolution and masked in every attention, and lengths follow the convolutions. ``padding="s3prl"`` at load time
    brings s3prl's batch behaviour back.

    The encoder is always in eval mode, dropouts and all, but for the modules in ``live`` (those that train); below
    ``boundary`` it runs without autograd. There is no layerdrop.

    Args:
        frontend: (waveforms (B, N), lengths (B,)) -> (B, T, C).
        projection: (B, T, C) -> (B, T, D).
        position: (x, padding) -> x; the positional convolution or embedding (+ layer norm when post-LN).
        layers: L encoder layers.
        final_norm: layer norm after the last layer (pre-LN), else None.
        mask_emb: (D,) the learned vector for masked frames, or None.
        frame_lengths: (samples (B,), geometry, frontend's output (B, T, C)) -> frames (B,).
        relative: (T, device) -> (heads, T, T) relative position bias shared by all layers, or None.
        predictors: modules on the last state, each of whose outputs is one more hidden state (DistilHuBERT). The head
            sees them in weighted sums only: "the last state" is that of the last layer.

    Attributes:
        sequence: a module (x (B, T, D), frames (B,)) -> (x' (B, T + m, D), frames', front), whose m extra vectors
            stand in the sequence from before the positional stage up to the last layer, ``front`` of them before the
            frames; None without one.
        checkpointing: in training, layers above the boundary are computed again in the backward pass instead of
            keeping what they need for it (less memory, about a third more time, the same gradients).
    """

    def __init__(
        self,
        *,
        geometry: Geometry,
        frontend: nn.Module,
        projection: nn.Module,
        position: nn.Module,
        layers: nn.ModuleList,
        final_norm: nn.Module | None,
        mask_emb: Tensor | None,
        frame_lengths: Callable[[Tensor, Geometry, Tensor], Tensor],
        relative: nn.Module | None = None,
        predictors: nn.ModuleList | None = None,
    ):
        super().__init__()
        self.geometry = geometry
        self.frontend = frontend
        self.projection = projection
        self.sequence: nn.Module | None = None
        self.position = position
        self.relative = relative
        self.layers = layers
        self.final_norm = final_norm
        self.predictors = predictors
        self.readout: nn.Module = LastState(geometry.dim)
        # Never trained, but masking uses it, so it moves with the model. Not saved: it is the upstream's.
        self.register_buffer("mask_emb", mask_emb, persistent=False)
        self.boundary = len(layers)
        self.live: list[nn.Module] = []
        self.checkpointing = False
        self._frame_lengths = frame_lengths
        self.requires_grad_(False)
        self.eval()

    @property
    def dim(self) -> int:
        """Width D of the layers."""
        return self.geometry.dim

    @property
    def num_states(self) -> int:
        """How many hidden states there are: L + 1 for most models."""
        return len(self.layers) + 1 + len(self.predictors or ())

    @property
    def state_widths(self) -> list[int]:
        """Width of each hidden state: D for every model with uniform layers."""
        return [self.dim] * self.num_states

    @property
    def device(self) -> torch.device:
        """Where its tensors are; the CPU for one that has none (fbank)."""
        tensors = itertools.chain(self.parameters(), self.buffers())
        return next((tensor.device for tensor in tensors), torch.device("cpu"))

    def train(self, mode: bool = True) -> "Encoder":
        """Training mode reaches the modules that train; frozen parts stay in eval mode."""
        super().train(False)
        self.training = mode
        for module in self.live:
            module.train(mode)
        return self

    def forward(self, wavs: Tensor, lengths: Tensor, masker: Masker | None = None) -> tuple[Tensor, Tensor]:
        """Features for the head.

        Args:
            wavs: (B, N) float, 16 kHz, zero beyond each length.
            lengths: (B,) samples.
            masker: masks features at the frozen boundary; see ``_states``.

        Returns:
            (B, T, W) features (arbitrary beyond an utterance's frames), W being ``readout.dim``, and (B,) frame
            counts.

        Raises:
            UserError: an utterance is too short for one frame, or longer than the model's window.
        """
        keep_all = self.readout.needs_all_states
        states, frames = self._states(*self._windows(wavs, lengths), masker, keep_all)
        states, frames = self._join(states, frames, len(lengths))
        features = self.readout(states)
        if masker is not None and self.boundary >= len(self.layers):
            features = masker(features, frames, None)
        return features, frames

    def hidden_states(self, wavs: Tensor, lengths: Tensor) -> tuple[list[Tensor], Tensor]:
        """All hidden states (B, T, D), as the reference implementation lists them, and (B,) frame counts."""
        states, frames = self._states(*self._windows(wavs, lengths), None, keep_all=True)
        return self._join(states, frames, len(lengths))

    def _windows(self, wavs: Tensor, lengths: Tensor) -> tuple[Tensor, Tensor]:
        """Models of a fixed window: utterances cut into windows, (B, N) -> (B * W, window)."""
        window = self.geometry.window_samples
        if not window:
            return wavs, lengths
        longest = int(lengths.max())
        if longest > window and not self.geometry.windowed:
            raise UserError(
                f"an utterance of {longest / 16000:.2f} s is longer than the {window / 16000:.2f} s that this upstream "
                "takes; upstream.long_audio=window cuts it into windows, data.max_s leaves it out of training"
            )
        count = max(1, -(-longest // window))
        wavs = wavs[:, : count * window]
        wavs = F.pad(wavs, (0, count * window - wavs.shape[1])).reshape(-1, window)
        starts = torch.arange(count, device=lengths.device) * window
        return wavs, (lengths[:, None] - starts).clamp(0, window).reshape(-1)

    def _join(self, states: list[Tensor], frames: Tensor, batch: int) -> tuple[list[Tensor], Tensor]:
        """The windows of each utterance in one row again; all but an utterance's last are full, so frames are too."""
        if not self.geometry.window_samples:
            return states, frames
        frames = frames.view(batch, -1).sum(dim=1)
        longest = int(frames.max())  # silence after it is of no use to a head
        return [s.reshape(batch, -1, s.shape[-1])[:, :longest] for s in states], frames

    def _states(
        self, wavs: Tensor, lengths: Tensor, masker: Masker | None, keep_all: bool
    ) -> tuple[list[Tensor], Tensor]:
        """Masking happens at the frozen boundary, so that it is the same from audio and from a dump there.

        Up to ``layer:0`` it replaces frames by ``mask_emb`` before the positional convolution, as wav2vec 2.0
        fine-tuning does; higher up frames become zero.
        """
        with self._frozen_below(AUDIO):
            if self.geometry.normalize:
                wavs = normalize_waveforms(wavs, lengths)
            x = self.frontend(wavs, lengths)
        frames = self._frame_lengths(lengths, self.geometry, x)
        with self._frozen_below(CONV):
            x = self.projection(x)
        if masker is not None and self.boundary <= 0:
            x = masker(x, frames, self.mask_emb)
        total, inside, front = x.shape[1], frames, 0
        with self._frozen_below(FRONTEND):
            if self.sequence is not None:
                x, inside, front = self.sequence(x, frames)
            padding = _padding(inside, x.shape[1]) if self.geometry.masks_padding else None
            projected, x = x, self.position(x, padding)
            bias = None if self.relative is None else self.relative(x.shape[1], x.device)
        prompts, states = 0, []

        def state(x: Tensor) -> Tensor:  # the frames alone, without prompts and extra vectors
            return x[:, prompts + front : prompts + front + total] if prompts or self.sequence else x

        states.append(state(projected if self.geometry.first_is_projection else x))
        for index, layer in enumerate(self.layers):
            if masker is not None and self.boundary == index > 0:
                x = masker(x, frames, None)
            with self._frozen_below(index):
                if "prompt" in layer.sites:
                    kept = x[:, prompts:]
                    tokens = layer.sites["prompt"](kept).to(x.dtype)
                    x, before, prompts = torch.cat([tokens, kept], dim=1), prompts, tokens.shape[1]
                    padding = padding if padding is None else F.pad(padding, (prompts - before, 0))
                if self.checkpointing and self.training and index >= self.boundary:
                    x = checkpoint(layer, x, padding, bias, use_reentrant=False)
                else:
                    x = layer(x, padding, bias)
            if keep_all:
                states.append(state(x))
        if self.final_norm is not None:
            with self._frozen_below(len(self.layers) - 1):
                x = self.final_norm(x)
        states[-1:] = [state(x)]
        if keep_all and self.predictors is not None:
            with self._frozen_below(len(self.layers) - 1):
                states += [predict(states[-1]) for predict in list(self.predictors)]
        return states, frames

    def _frozen_below(self, stage: int):
        return torch.no_grad() if stage < self.boundary else nullcontext()


def _padding(frames: Tensor, total: int) -> Tensor | None:
    """(B, T) bool, True beyond each utterance; None when nothing is padded, which spares attention its mask."""
    if int(frames.min()) == total:
        return None
    return torch.arange(total, device=frames.device)[None, :] >= frames[:, None]
