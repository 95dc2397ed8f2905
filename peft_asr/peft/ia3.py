"""``ia3``: keys, values and the inside of the feed-forward block, each scaled by a learned vector.

Liu et al., 2022 (https://arxiv.org/abs/2205.05638), by huggingface/peft's tuner.
"""

from dataclasses import dataclass, field

from peft_asr.peft.registry import register
from peft_asr.peft.wrapped import TargetsOption, Wrapped, check_targets, shape_of
from peft_asr.upstream.encoder import Encoder


@dataclass
class Ia3Options(TargetsOption):
    """Options of ``ia3``; the defaults are the paper's three places."""

    targets: list[str] = field(default_factory=lambda: ["k", "v", "fc2"])
    feedforward: list[str] = field(default_factory=lambda: ["fc2"])  # those whose input is scaled


@register("ia3")
class Ia3(Wrapped):
    """l * (W x + b), or W (l * x) + b for ``feedforward``; l starts at one: 55,296 parameters on a base model."""

    Options = Ia3Options

    def check(self, encoder: Encoder) -> None:
        super().check(encoder)
        if self.options.feedforward:
            check_targets(f"{self.part}.feedforward", self.options.feedforward, self.options.targets)

    def declare(self, encoder: Encoder) -> dict[str, tuple[int, ...]]:
        shapes = {}
        for site in self._ordered(encoder):
            wide_out, wide_in = shape_of(encoder, site)
            shapes[f"{site}.ia3_l.{self.part}"] = (1, wide_in) if self._scales_input(site) else (wide_out, 1)
        return shapes

    def tuner_config(self, sites: list[str]):
        from peft import IA3Config

        return IA3Config(
            target_modules=sites, feedforward_modules=[site for site in sites if self._scales_input(site)]
        )

    def _scales_input(self, site: str) -> bool:
        return site.rpartition(".")[2] in self.options.feedforward
