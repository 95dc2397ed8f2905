"""What stands on the encoder. ``build_head`` makes the one that the config names."""

from dataclasses import replace

from peft_asr.config import HeadConfig
from peft_asr.errors import UserError, nearest
from peft_asr.heads.blstm import BlstmHead
from peft_asr.heads.head import Head
from peft_asr.heads.linear import LinearHead
from peft_asr.heads.mlsuperb import MlSuperbHead
from peft_asr.heads.pooled import PooledHead
from peft_asr.heads.transformer import TransformerHead, TransformerPooledHead

HEADS: dict[str, type[Head]] = {
    "linear": LinearHead,
    "blstm": BlstmHead,
    "transformer": TransformerHead,
    "mlsuperb": MlSuperbHead,
    "pooled": PooledHead,
    "transformer_pooled": TransformerPooledHead,
}


def head_class(name: str) -> type[Head]:
    """The head of this name.

    Raises:
        UserError: unknown name.
    """
    if name not in HEADS:
        raise UserError(
            f"unknown head '{name}'{nearest(name, HEADS)}; allowed for head.name: {', '.join(HEADS)}"
        )
    return HEADS[name]


def resolve_head(config: HeadConfig) -> HeadConfig:
    """The config with the head's own sizes where none are given; those it has no use for stay None.

    Raises:
        UserError: unknown name.
    """
    own = head_class(config.name).defaults
    return replace(config, **{key: value for key, value in own.items() if getattr(config, key) is None})


def build_head(config: HeadConfig, dim: int, classes: int) -> Head:
    """The head on (B, T, dim) features with (B, T', classes) logits.

    Raises:
        UserError: unknown name, or sizes that do not go together.
    """
    return head_class(config.name)(resolve_head(config), dim, classes)
