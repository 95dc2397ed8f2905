"""Encoder, injected methods and head as one model."""

import torch
from torch import Tensor, nn

from peft_asr.errors import UserError, nearest
from peft_asr.peft import Injected
from peft_asr.tasks.storage import halve_frozen
from peft_asr.upstream.boundary import boundary_name, parse_boundary
from peft_asr.upstream.encoder import Encoder, Masker


class SpeechModel(nn.Module):
    """What a recipe trains: a frozen encoder, the methods in it, and a head.

    Args:
        encoder: with its methods injected.
        injected: what ``peft.inject`` returned.
        head: (B, T, D), (B,) -> (B, T', V), (B,).
        upstream_hash: fingerprint of the encoder before injection.
    """

    def __init__(self, encoder: Encoder, injected: Injected, head: nn.Module, upstream_hash: str):
        super().__init__()
        self.encoder = encoder
        self.head = head
        self.injected = injected
        self.upstream_hash = upstream_hash

    def forward(
        self, inputs: Tensor, wav_lengths: Tensor, masker: Masker | None = None, at: str = "audio"
    ) -> tuple[Tensor, Tensor]:
        """Logits of a batch.

        Args:
            inputs: (B, N) float32, 16 kHz, zero beyond each length; or activations of the boundary ``at``.
            wav_lengths: (B,) samples.
            masker: (x (B, T, D), frames (B,), fill (D,) or None) -> masked x; applied at the frozen boundary.
            at: name of the boundary where ``inputs`` stand, no higher than ``dump_boundary``.

        Returns:
            (B, T', V) float32 and (B,) frame counts; T' < T where the head shortens time.
        """
        features, frames = self.encoder(inputs, wav_lengths, masker, self._place(at))
        logits, frames = self.head(features, frames)
        return logits.float(), frames

    def num_frames(self, samples: int) -> int:
        """Frames of the output for so many samples."""
        return self.head.num_frames(self.encoder.geometry.num_frames(samples))

    @property
    def boundary(self) -> str:
        """The frozen boundary by name: nothing below it trains."""
        return boundary_name(self.encoder.boundary, len(self.encoder.layers))

    def dump_boundary(self, masks: bool) -> str:
        """The highest boundary, by name, from whose activations this model can be trained; see ``Encoder``."""
        return boundary_name(self.encoder.dump_boundary(masks), len(self.encoder.layers))

    def _place(self, name: str) -> int:
        return parse_boundary(name, len(self.encoder.layers))

    def halve_frozen(self, dtype: torch.dtype | None) -> int:
        """Keep frozen maps in the type that autocast multiplies in; see ``storage``."""
        return halve_frozen(self.encoder, dtype)

    def parameter_groups(self) -> dict[str, list[tuple[str, nn.Parameter]]]:
        """``head``, ``method`` and ``backbone`` -> (name, parameter) of everything that trains."""
        groups: dict[str, list] = {"head": [], "method": [], "backbone": []}
        for name, parameter in self.named_parameters():
            if parameter.requires_grad:
                kind, _, inner = name.partition(".")
                groups["head" if kind == "head" else self.injected.groups[inner]].append((name, parameter))
        return groups

    def count_table(self) -> list[dict]:
        """Rows ``{"part", "trainable", "total"}`` of parameters, in the order of the forward pass."""
        rows: dict[str, dict] = {}
        for name, parameter in self.named_parameters():
            words = name.split(".")
            part = words[0] if words[0] == "head" else f"encoder.{words[1]}"
            if words[1] == "layers":
                part += f".{words[2]}"
            row = rows.setdefault(part, {"part": part, "trainable": 0, "total": 0})
            row["total"] += parameter.numel()
            row["trainable"] += parameter.numel() if parameter.requires_grad else 0
        return list(rows.values())

    def labels(self) -> dict[str, str]:
        """Name of each trainable tensor -> the entry of ``train.lr_parts`` that would set its learning rate."""
        named = (name for group in self.parameter_groups().values() for name, _ in group)
        return {n: self.injected.labels.get(n.removeprefix("encoder."), "head") for n in named}

    def trainable_state(self) -> dict[str, Tensor]:
        """Name -> tensor of what trains and of what a method keeps: all that a checkpoint needs beside the upstream."""
        state = {name: p.detach() for group in self.parameter_groups().values() for name, p in group}
        for method in self.injected.methods:
            state |= {f"encoder.{name}": t.detach() for name, t in method.kept(self.encoder).items()}
        return state

    @torch.no_grad()
    def load_trainable_state(self, state: dict[str, Tensor]) -> None:
        """Copy a ``trainable_state`` back in.

        Raises:
            UserError: a key is missing or unknown, or a shape differs.
        """
        own = self.trainable_state()
        for name in state:
            if name not in own:
                raise UserError(
                    f"the checkpoint holds '{name}', which this model does not train{nearest(name, own)}"
                )
        for name, tensor in own.items():
            if name not in state:
                raise UserError(f"the checkpoint lacks '{name}', which this model trains")
            if state[name].shape != tensor.shape:
                raise UserError(
                    f"'{name}' has shape {tuple(state[name].shape)} in the checkpoint, "
                    f"{tuple(tensor.shape)} in this model"
                )
            tensor.copy_(state[name])

    @torch.no_grad()
    def start(self, inputs: Tensor, wav_lengths: Tensor, at: str = "audio") -> None:
        """Methods whose initial values come from the data take them from this first batch; as ``forward`` takes it."""
        for method in self.injected.methods:
            if method.wants_first_batch:
                method.start(self.encoder, inputs, wav_lengths, self._place(at))

    @property
    def wants_first_batch(self) -> bool:
        """``start`` has something to do."""
        return any(method.wants_first_batch for method in self.injected.methods)

    def begin(self, total_steps: int) -> None:
        """Training begins or resumes; it will have so many steps."""
        for method in self.injected.methods:
            method.begin(self.encoder, total_steps)

    def penalty(self) -> Tensor | None:
        """What the methods add to the loss of a batch, or None."""
        terms = [method.penalty(self.encoder) for method in self.injected.methods]
        terms = [term for term in terms if term is not None]
        return sum(terms) if terms else None

    def after_step(self, step: int) -> None:
        """Optimiser step ``step`` (from 1) was taken; its gradients are still there."""
        for method in self.injected.methods:
            method.after_step(self.encoder, step)

    def training_state(self) -> dict[str, Tensor]:
        """What resuming needs besides ``trainable_state``."""
        return {
            f"{method.part}.{name}": tensor
            for method in self.injected.methods
            for name, tensor in method.training_state().items()
        }

    def load_training_state(self, state: dict[str, Tensor]) -> None:
        """The inverse of ``training_state``."""
        for method in self.injected.methods:
            own = f"{method.part}."
            method.load_training_state(
                {n.removeprefix(own): t for n, t in state.items() if n.startswith(own)}
            )

    def merge(self) -> None:
        """Fold the methods into the pre-trained weights where possible, for decoding. In place and irreversible.

        Raises:
            UserError: called twice.
        """
        self.injected.merge(self.encoder)
