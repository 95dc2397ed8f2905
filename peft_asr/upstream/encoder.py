"""The uniform encoder: any transformer upstream as frontend, positional stage and a list of layers."""

import itertools
from collections.abc import Callable
from contextlib import nullcontext

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.nn.utils.rnn import pad_sequence
from torch.utils.checkpoint import checkpoint

from peft_asr.upstream import windows
from peft_asr.upstream.boundary import AUDIO, CONV, FRONTEND
from peft_asr.upstream.frontend import normalize_waveforms
from peft_asr.upstream.geometry import Geometry
from peft_asr.upstream.readout import LastState

Masker = Callable[[Tensor, Tensor, Tensor | None], Tensor]


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
        frame_lengths: (samples (B,), geometry, features (B, T, C), or None for a dump) -> frames (B,).
        relative: (T, device) -> (heads, T, T) relative position bias shared by all layers, or None.
        predictors: modules on the last state, each of whose outputs is one more hidden state (DistilHuBERT). The head
            sees them in weighted sums only: "the last state" is that of the last layer.

    Attributes:
        name: what messages call it: the family, or the name that it was asked for by where the family says little.
        sequence: a module (x (B, T, D), frames (B,)) -> (x' (B, T + m, D), frames', front), whose m extra vectors
            stand in the sequence from before the positional stage up to the last layer, ``front`` of them before the
            frames; None without one.
        checkpointing: in training, layers above the boundary are computed again in the backward pass instead of
            keeping what they need for it (less memory, about a third more time, the same gradients).
        alone_to: the boundary up to which utterances of a batch of waveforms run one by one: slower, the same bits as
            from a float32 dump there, whatever the batch. ``AUDIO``: all run together.
        dropouts: the dropouts of frozen layers act in training.
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
        frame_lengths: Callable[[Tensor, Geometry, Tensor | None], Tensor],
        relative: nn.Module | None = None,
        predictors: nn.ModuleList | None = None,
    ):
        super().__init__()
        self.geometry = geometry
        self.name = geometry.family
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
        self.alone_to = AUDIO
        self.dropouts = False
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
    def first_state(self) -> int:
        """The boundary where hidden state 0 stands."""
        return FRONTEND if self.geometry.first_is_projection else 0

    @property
    def masks_output(self) -> bool:
        """Masks of training lie on what the head sees, because nothing below it trains."""
        return self.boundary >= len(self.layers)

    @property
    def device(self) -> torch.device:
        """Where its tensors are; the CPU for one that has none (fbank)."""
        tensors = itertools.chain(self.parameters(), self.buffers())
        return next((tensor.device for tensor in tensors), torch.device("cpu"))

    def train(self, mode: bool = True) -> "Encoder":
        """Training mode reaches the modules that train; frozen parts stay in eval mode, unless ``dropouts``."""
        super().train(False)
        self.training = mode
        if self.dropouts:
            # Their own flag alone: what a method has put into them follows `live`.
            for module in (self.position, *self.layers):
                module.training = mode
        for module in self.live:
            module.train(mode)
        return self

    def forward(
        self, inputs: Tensor, lengths: Tensor, masker: Masker | None = None, at: int = AUDIO
    ) -> tuple[Tensor, Tensor]:
        """Features for the head.

        Args:
            inputs: (B, N) float, 16 kHz, zero beyond each length; or what ``run_to`` gives for ``at``.
            lengths: (B,) samples.
            masker: masks features at the frozen boundary; see ``_states``.
            at: the boundary where ``inputs`` stand, at most the frozen one (with a masker: at most ``dump_boundary``).

        Returns:
            (B, T, W) features (arbitrary beyond an utterance's frames), W being ``readout.dim``, and (B,) frame
            counts.

        Raises:
            UserError: an utterance is too short for one frame, or longer than the model's window.
        """
        if at == AUDIO < self.alone_to:
            inputs, at = self._one_by_one(inputs, lengths), self.alone_to
        if at >= len(self.layers):
            states, frames = self._stored(inputs), self._frames(lengths)
        else:
            states, frames = self._run(inputs, lengths, masker, self.readout.needs_all_states, at)
        features = self.readout(states)
        return features if masker is None or not self.masks_output else masker(features, frames, None), frames

    def hidden_states(
        self, inputs: Tensor, lengths: Tensor, at: int = AUDIO
    ) -> tuple[list[Tensor | None], Tensor]:
        """All hidden states (B, T, D), as the reference implementation lists them, and (B,) frame counts.

        Those below the layer ``at`` whose input ``inputs`` are, are None.
        """
        if at == AUDIO < self.alone_to < len(self.layers):
            inputs, at = self._one_by_one(inputs, lengths), self.alone_to
        return self._run(inputs, lengths, None, True, at)

    def dump_boundary(self, masks: bool) -> int:
        """The highest boundary from which training can start: the frozen one, or lower.

        Args:
            masks: features are masked in training, which up to ``layer:0`` happens at ``frontend``. A readout that
                needs all states wants the lowest of them too, unless all of them are frozen and kept. Dropouts begin
                after ``frontend``.
        """
        highest = self.boundary
        if highest < len(self.layers) and self.readout.needs_all_states:
            highest = min(highest, self.first_state)
        low = self.dropouts or (masks and not self.masks_output and self.boundary <= 0)
        return min(highest, FRONTEND) if low else highest

    @torch.no_grad()
    def run_to(self, wavs: Tensor, lengths: Tensor, at: int) -> Tensor:
        """What stands at the boundary ``at``, which is not above the frozen one.

        Returns:
            (B, T, W) activations; at the top (B, T, D) the last state, or (B, S, T, D) all states where the readout
            needs them.
        """
        if at >= len(self.layers):
            keep_all = self.readout.needs_all_states
            states, _ = self._run(wavs, lengths, None, keep_all)
            return torch.stack(states, dim=1) if keep_all else states[-1]
        rows, inside = windows.cut(wavs, lengths, self.geometry)
        x = self._states(rows, inside, None, False, to=at)[0][-1]
        return x.reshape(len(wavs), -1, x.shape[-1])

    def _one_by_one(self, wavs: Tensor, lengths: Tensor) -> Tensor:
        pairs = zip(wavs, lengths, strict=True)
        parts = [self.run_to(wav[None, : int(n)], n[None], self.alone_to)[0].float() for wav, n in pairs]
        if parts[0].ndim == 2:
            return pad_sequence(parts, batch_first=True)
        # (S, T, D) each: time is the second dimension
        return pad_sequence([part.transpose(0, 1) for part in parts], batch_first=True).transpose(1, 2)

    def _stored(self, inputs: Tensor) -> list[Tensor]:
        """The hidden states of a dump at the top, or the last alone."""
        return [inputs.float()] if inputs.ndim == 3 else list(inputs.unbind(dim=1))

    def _frames(self, lengths: Tensor) -> Tensor:
        """(B,) samples -> (B,) frames, of utterances that ran alone."""
        if not self.geometry.window_samples:
            return self._frame_lengths(lengths, self.geometry, None)
        frames = self._frame_lengths(windows.inside(lengths, self.geometry), self.geometry, None)
        return frames.view(len(lengths), -1).sum(dim=1)

    def _run(
        self, inputs: Tensor, lengths: Tensor, masker: Masker | None, keep_all: bool, at: int = AUDIO
    ) -> tuple[list[Tensor | None], Tensor]:
        rows, inside = windows.cut(inputs, lengths, self.geometry)
        states, frames = self._states(rows, inside, masker, keep_all, at)
        return windows.join(states, frames, len(lengths), self.geometry)

    def _states(
        self,
        x: Tensor,
        lengths: Tensor,
        masker: Masker | None,
        keep_all: bool,
        at: int = AUDIO,
        to: int | None = None,
    ) -> tuple[list[Tensor | None], Tensor | None]:
        """Masking happens at the frozen boundary, so that it is the same from audio and from a dump there.

        Up to ``layer:0`` it replaces frames by ``mask_emb`` before the positional convolution, as wav2vec 2.0
        fine-tuning does; higher up frames become zero.
        """
        to = len(self.layers) if to is None else to
        if at == AUDIO:
            with self._frozen_below(AUDIO):
                if self.geometry.normalize:
                    x = normalize_waveforms(x, lengths)
                x = self.frontend(x, lengths)
        else:
            x = x.float()
        if to == CONV:
            return [x], None
        frames = self._frame_lengths(lengths, self.geometry, x)
        if at < FRONTEND:
            with self._frozen_below(CONV):
                x = self.projection(x)
        if to == FRONTEND:
            return [x], frames
        if masker is not None and self.boundary <= 0:
            x = masker(x, frames, self.mask_emb)
        total, inside, front, projected = x.shape[1], frames, 0, None
        with self._frozen_below(FRONTEND):
            if self.sequence is not None:
                x, inside, front = self.sequence(x, frames)
            padding = _padding(inside, x.shape[1]) if self.geometry.masks_padding else None
            if at < 0:
                projected, x = x, self.position(x, padding)
            bias = None if self.relative is None else self.relative(x.shape[1], x.device)
        prompts, states = 0, [None] * max(at, 0)

        def state(x: Tensor) -> Tensor:  # the frames alone, without prompts and extra vectors
            return x[:, prompts + front : prompts + front + total] if prompts or self.sequence else x

        states.append(state(projected if self.geometry.first_is_projection and at < 0 else x))
        for index in range(max(at, 0), to):
            layer = self.layers[index]
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
        if to < len(self.layers):
            return [x], frames
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
