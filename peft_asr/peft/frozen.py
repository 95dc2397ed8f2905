"""``frozen``: only the head trains, on the last hidden state (the papers' "baseline")."""

from peft_asr.peft.method import Method
from peft_asr.peft.registry import register
from peft_asr.upstream.encoder import Encoder


@register("frozen")
class Frozen(Method):
    """Nothing in the encoder trains."""

    needs_transformer = False

    def sites(self, encoder: Encoder) -> set[str]:
        return set()

    def declare(self, encoder: Encoder) -> dict[str, tuple[int, ...]]:
        return {}

    def boundary(self, encoder: Encoder) -> int:
        return len(encoder.layers)

    def inject(self, encoder: Encoder) -> None:
        """There is nothing to put in."""

    def unmergeable(self) -> None:
        """Nothing stands beside the upstream's own weights."""
