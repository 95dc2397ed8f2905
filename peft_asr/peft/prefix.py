"""``prefix``: learned keys and values that every frame attends to besides the frames.

Li and Liang, 2021 (https://arxiv.org/abs/2101.00190).
"""

from dataclasses import dataclass

import torch
from torch import Tensor, nn

from peft_asr.errors import UserError, nearest
from peft_asr.peft.method import LayersOption, Method, select_layers
from peft_asr.peft.registry import register
from peft_asr.upstream.boundary import AUDIO
from peft_asr.upstream.encoder import Encoder

INITS = ("mean", "normal")


@dataclass
class PrefixOptions(LayersOption):
    """Options of ``prefix``."""

    length: int = 5  # keys in each layer, and as many values
    init: str = "mean"  # mean: from the first batch's hidden states, plus N(0, 0.02); normal: N(0, 0.02)


class Prefix(nn.Module):
    """P keys and P values of width D (all heads together)."""

    def __init__(self, length: int, dim: int):
        super().__init__()
        self.keys = nn.Parameter(torch.empty(length, dim))
        self.values = nn.Parameter(torch.empty(length, dim))
        nn.init.normal_(self.keys, std=0.02)
        nn.init.normal_(self.values, std=0.02)

    def forward(self) -> tuple[Tensor, Tensor]:
        """Keys (P, D) and values (P, D)."""
        return self.keys, self.values


@register("prefix")
class PrefixTuning(Method):
    """2 x length x D parameters in each layer: 92,160 on a base model with length 5, 110,592 with 6.

    The SLT 2022 paper starts its vectors from the mean hidden state of the first batch. Ours become the key and the
    value that the layer's own maps give for that mean, so that training begins with one more average frame to attend
    to. The random values that they had before stay on top: equal rows would get equal gradients and stay equal.
    """

    Options = PrefixOptions
    identity_at_start = False  # every frame attends to the prefix

    def __init__(self, part: str, options: PrefixOptions):
        super().__init__(part, options)
        self.wants_first_batch = options.init == "mean"

    def check(self, encoder: Encoder) -> None:
        o = self.options
        if o.length < 1:
            raise UserError(f"{self.part}.length must be 1 or more; got {o.length}")
        if o.init not in INITS:
            raise UserError(
                f"{self.part}.init takes {' or '.join(INITS)}; got {o.init!r}{nearest(str(o.init), INITS)}"
            )
        self._layers(encoder)

    def sites(self, encoder: Encoder) -> set[str]:
        return {f"layers.{i}.attn_prefix" for i in self._layers(encoder)}

    def declare(self, encoder: Encoder) -> dict[str, tuple[int, ...]]:
        shape = (self.options.length, encoder.dim)
        return {
            f"layers.{i}.sites.attn_prefix.{name}": shape
            for i in self._layers(encoder)
            for name in ("keys", "values")
        }

    def boundary(self, encoder: Encoder) -> int:
        return min(self._layers(encoder))

    def inject(self, encoder: Encoder) -> None:
        device = encoder.device
        for i in self._layers(encoder):
            encoder.layers[i].sites["attn_prefix"] = Prefix(self.options.length, encoder.dim).to(device)

    @torch.no_grad()
    def start(self, encoder: Encoder, inputs: Tensor, lengths: Tensor, at: int = AUDIO) -> None:
        """Add the mean key and the mean value over the real frames of this batch."""
        layers = [encoder.layers[i] for i in self._layers(encoder)]
        training, kept = encoder.training, [layer.sites for layer in layers]
        encoder.eval()
        for layer in layers:  # the means are of the model without the prefix
            layer.sites = nn.ModuleDict({k: v for k, v in layer.sites.items() if k != "attn_prefix"})
        first: list[Tensor] = []
        hook = encoder.layers[0].register_forward_pre_hook(lambda module, args: first.append(args[0]))
        states, frames = encoder.hidden_states(inputs, lengths, at)
        hook.remove()
        if encoder.geometry.first_is_projection and first:  # state 0 is not what layer 0 is fed with
            states[0] = first[0][:, -states[-1].shape[1] :]
        for layer, sites in zip(layers, kept, strict=True):
            layer.sites = sites
        real = torch.arange(states[-1].shape[1], device=frames.device) < frames[:, None]
        for i, layer in zip(self._layers(encoder), layers, strict=True):
            x = states[i][real]
            mean = (layer.attn_norm(x) if layer.pre_ln else x).mean(dim=0)
            prefix = layer.sites["attn_prefix"]
            prefix.keys.add_(layer.k(mean))
            prefix.values.add_(layer.v(mean))
        encoder.train(training)

    def _layers(self, encoder: Encoder) -> list[int]:
        return select_layers(self.options.layers, len(encoder.layers), self.part)
