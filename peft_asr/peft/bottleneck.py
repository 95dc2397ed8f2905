"""``bottleneck``: small modules around attention and feed-forward, in every published form.

Houlsby et al., 2019 (https://arxiv.org/abs/1902.00751); Pfeiffer et al., 2021; He et al., 2022 (parallel); Convpass:
Jie and Deng, 2022; E-adapters: Otake et al., 2023. Each form is a preset: houlsby, pfeiffer_par, e_adapter, ...
"""

import math
import re
from dataclasses import dataclass, field

from torch import nn

from peft_asr.errors import UserError, nearest
from peft_asr.peft.bottleneck_module import ACTIVATIONS, INITS, NORMS, BottleneckAdapter, bottleneck_shapes
from peft_asr.peft.method import LayersOption, Method, select_layers
from peft_asr.peft.registry import register
from peft_asr.upstream.encoder import Encoder

SITES = tuple(f"{sub}_{where}" for sub in ("attn", "ffn") for where in ("before", "after", "parallel"))
CHOICES = {
    "inner": ("bottleneck", "convpass"),
    "activation": tuple(ACTIVATIONS),
    "norm": NORMS,
    "init": INITS,
    "train_layernorm": ("none", "sublayer", "layer", "all"),
}


@dataclass
class BottleneckOptions(LayersOption):
    """Options of ``bottleneck``. One of ``size`` and ``reduction`` is given, the other is null."""

    sites: list[str] = field(default_factory=lambda: ["ffn_after"])  # {attn,ffn}_{before,after,parallel}
    size: int | None = None  # width of the bottleneck
    reduction: int | None = None  # size = D // reduction, but at least 1
    inner: str = "bottleneck"  # bottleneck | convpass (a convolution over time between down and up)
    kernel_frames: int = 3  # of that convolution
    activation: str = "gelu"  # gelu | relu | swish | silu | tanh | quick_gelu
    norm: str = "none"  # none | pre | post: a new layer norm inside
    residual: bool | None = None  # inner skip connection; null: at before and after yes, at parallel no
    scale: float = 1.0  # factor on the module's output (before its skip connection)
    learned_scale: bool = False  # the factor trains
    init: str = "near_identity"  # near_identity | normal (N(0, 1e-3), biases 0) | torch
    dropout: float = 0.0  # on the bottleneck's activations
    train_layernorm: str = "none"  # pre-trained norms that train too. sublayer: of each sub-layer that has an
    # adapter; layer: both of each adapted layer; all: both of every layer
    compat_petl_ast: bool = False  # reproduce two faults of that paper's public code; see BottleneckAdapter


@register("bottleneck")
class Bottleneck(Method):
    """x + up(act(down(x))) at one or more sites of each layer, 2 D r + r + D parameters each.

    ``before`` and ``after`` are sequential: the module is fed the input of the sub-layer (after the layer norm when
    pre-LN) or its output. ``parallel`` is fed what the residual carries, and its result is added to the sub-layer's
    output. "Parallel, after" needs no site of its own: a module fed the sub-layer's output y and added to it, y + f(y),
    is the sequential one with its skip connection.
    """

    Options = BottleneckOptions

    def __init__(self, part: str, options: BottleneckOptions):
        super().__init__(part, options)
        # A zero output is neutral where the module is a skip connection's addend, inside or around it.
        neutral = all(self._residual(site) != site.endswith("parallel") for site in options.sites)
        self.identity_at_start = options.init == "near_identity" and neutral

    def check(self, encoder: Encoder) -> None:
        o = self.options
        unknown = [site for site in o.sites if site not in SITES]
        if unknown or not o.sites or len(set(o.sites)) != len(o.sites):
            bad = unknown[0] if unknown else o.sites
            raise UserError(
                f"{self.part}.sites takes distinct names of {', '.join(SITES)}; got {bad!r}{nearest(str(bad), SITES)}"
            )
        for option, allowed in CHOICES.items():
            value = getattr(o, option)
            if value not in allowed:
                raise UserError(
                    f"{self.part}.{option} must be one of {', '.join(allowed)}; got {value!r}{nearest(value, allowed)}"
                )
        if (o.size is None) == (o.reduction is None):
            raise UserError(
                f"{self.part} takes either size or reduction, the other being null; "
                f"got size={o.size} and reduction={o.reduction}"
            )
        for option in ("size", "reduction"):
            value = getattr(o, option)
            if value is not None and value < 1:
                raise UserError(f"{self.part}.{option} must be 1 or more; got {value}")
        if o.kernel_frames < 1 or o.kernel_frames % 2 == 0:
            raise UserError(f"{self.part}.kernel_frames must be odd and above 0; got {o.kernel_frames}")
        if not 0.0 <= o.dropout < 1.0:
            raise UserError(f"{self.part}.dropout must lie in [0, 1); got {o.dropout}")
        if o.scale == 0 or not math.isfinite(o.scale):
            raise UserError(f"{self.part}.scale must be finite and not 0; got {o.scale}")
        if o.compat_petl_ast and o.init != "near_identity":
            raise UserError(
                f"{self.part}.compat_petl_ast settles how the projections start and takes init=near_identity alone; "
                f"got init={o.init}"
            )
        self._layers(encoder)

    def sites(self, encoder: Encoder) -> set[str]:
        adapters = {f"layers.{i}.{site}" for i in self._layers(encoder) for site in self.options.sites}
        return adapters | self._norms(encoder)

    def declare(self, encoder: Encoder) -> dict[str, tuple[int, ...]]:
        o, shapes = self.options, {}
        inner = bottleneck_shapes(encoder.dim, self._size(encoder), o.norm, self._kernel(), o.learned_scale)
        for i in self._layers(encoder):
            for site in o.sites:
                shapes |= {f"layers.{i}.sites.{site}.{name}": shape for name, shape in inner.items()}
        for norm in sorted(self._norms(encoder)):
            for name, parameter in encoder.get_submodule(norm).named_parameters():
                shapes[f"{norm}.{name}"] = tuple(parameter.shape)
        return shapes

    def boundary(self, encoder: Encoder) -> int:
        return 0 if self.options.train_layernorm == "all" else min(self._layers(encoder))

    def inject(self, encoder: Encoder) -> None:
        o, device = self.options, encoder.device
        for i in self._layers(encoder):
            for site in o.sites:
                adapter = BottleneckAdapter(
                    encoder.dim,
                    self._size(encoder),
                    activation=o.activation,
                    norm=o.norm,
                    residual=self._residual(site),
                    kernel_frames=self._kernel(),
                    scale=o.scale,
                    learned_scale=o.learned_scale,
                    dropout=o.dropout,
                    init=o.init,
                    compat_petl_ast=o.compat_petl_ast,
                )
                encoder.layers[i].sites[site] = adapter.to(device)

    def live_modules(self, encoder: Encoder) -> list[nn.Module]:
        return [encoder.layers[i].sites[site] for i in self._layers(encoder) for site in self.options.sites]

    def label(self, name: str) -> str:
        """The pre-trained norms have a learning rate of their own, ``PART.norm``."""
        return f"{self.part}.norm" if re.match(r"layers\.\d+\.(attn|ffn)_norm\.", name) else self.part

    def _layers(self, encoder: Encoder) -> list[int]:
        return select_layers(self.options.layers, len(encoder.layers), self.part)

    def _norms(self, encoder: Encoder) -> set[str]:
        """The pre-trained layer norms that train, e.g. ``layers.0.ffn_norm``."""
        which = self.options.train_layernorm
        if which == "none":
            return set()
        layers = range(len(encoder.layers)) if which == "all" else self._layers(encoder)
        adapted = {site.partition("_")[0] for site in self.options.sites}
        return {
            f"layers.{i}.{s}_norm"
            for i in layers
            for s in (adapted if which == "sublayer" else ("attn", "ffn"))
        }

    def _size(self, encoder: Encoder) -> int:
        o = self.options
        return o.size if o.size is not None else max(1, encoder.dim // o.reduction)

    def _kernel(self) -> int | None:
        return self.options.kernel_frames if self.options.inner == "convpass" else None

    def _residual(self, site: str) -> bool:
        given = self.options.residual
        return not site.endswith("parallel") if given is None else given
