"""What the same tensor or module is called here and in transformers' models."""

import re

from torch import Tensor

from peft_asr.errors import UserError
from peft_asr.upstream.encoder import Encoder
from peft_asr.upstream.geometry import Geometry

# Family -> (start of transformers' class names, attribute under which its ...ForCTC holds the model).
CLASSES = {
    "hubert": ("Hubert", "hubert"),
    "wav2vec2": ("Wav2Vec2", "wav2vec2"),
    "data2vec": ("Data2VecAudio", "data2vec_audio"),
    "wavlm": ("WavLM", "wavlm"),
    "unispeech": ("UniSpeech", "unispeech"),
    "unispeech_sat": ("UniSpeechSat", "unispeech_sat"),
}

# Rows (ours, transformers'); each # is a number. What follows such a name (.weight, .bias) is the same in both. The
# first row that fits counts.
_COMMON = [
    ("mask_emb", "masked_spec_embed"),
    ("frontend.conv_layers.#.0", "feature_extractor.conv_layers.#.conv"),
    ("projection.0", "feature_projection.layer_norm"),
    ("projection.1", "feature_projection.projection"),
    ("relative.embedding", "encoder.layers.0.attention.rel_attn_embed"),
    ("layers.#.gate.linear", "encoder.layers.#.attention.gru_rel_pos_linear"),
    ("layers.#.gate.constant", "encoder.layers.#.attention.gru_rel_pos_const"),
    ("layers.#.q", "encoder.layers.#.attention.q_proj"),
    ("layers.#.k", "encoder.layers.#.attention.k_proj"),
    ("layers.#.v", "encoder.layers.#.attention.v_proj"),
    ("layers.#.o", "encoder.layers.#.attention.out_proj"),
    ("layers.#.fc1", "encoder.layers.#.feed_forward.intermediate_dense"),
    ("layers.#.fc2", "encoder.layers.#.feed_forward.output_dense"),
    ("layers.#.attn_norm", "encoder.layers.#.layer_norm"),
    ("layers.#.ffn_norm", "encoder.layers.#.final_layer_norm"),
]
_CONV_NORM = "feature_extractor.conv_layers.#.layer_norm"
_ONE_CONV = [("position.pos_conv.0", "encoder.pos_conv_embed.conv")]
_STACK = [("position.pos_conv.#.0", "encoder.pos_conv_embed.layers.#.conv")]  # data2vec
_BATCH_NORM = [  # HuBERT with a batch norm before the positional convolution (mHuBERT-147)
    ("position.pos_conv.0.0.norm", "encoder.pos_conv_embed.batch_norm"),
    ("position.pos_conv.1.0", "encoder.pos_conv_embed.conv"),
]


def family_of(geometry: Geometry) -> str:
    """The family, whichever library the upstream came from.

    Raises:
        UserError: one that transformers' classes for CTC do not have.
    """
    family = geometry.family.removeprefix("hf_").replace("data2vec_audio", "data2vec")
    if family not in CLASSES:
        raise UserError(
            f"the upstream is of the family {geometry.family}, which transformers has no CTC model of in this layout; "
            f"allowed: {', '.join(CLASSES)}"
        )
    return family


class Names:
    """The names of one upstream's tensors, each way.

    Raises:
        UserError: as ``family_of``.
    """

    def __init__(self, encoder: Encoder):
        g = encoder.geometry
        stacked = family_of(g) == "data2vec"
        batch_norm = not stacked and len(encoder.position.pos_conv) == 2
        # A norm over channels stands in a wrapper, which has another shape for each library.
        conv_norm = "2" if g.group_norm else "2.norm" if g.family.startswith("hf_") else "2.1"
        self._rows = [
            *_COMMON,
            (f"frontend.conv_layers.#.{conv_norm}", _CONV_NORM),
            *(_STACK if stacked else _BATCH_NORM if batch_norm else _ONE_CONV),
            ("final_norm" if g.pre_ln else "position.norm", "encoder.layer_norm"),
        ]

    def to_hf(self, name: str) -> str | None:
        """transformers' name, below the model's prefix; None if it has no such thing."""
        return _translate(name, self._rows)

    def from_hf(self, name: str) -> str | None:
        """Our name; None if we have no such thing."""
        return _translate(name, [(theirs, ours) for ours, theirs in self._rows])


def _translate(name: str, rows: list[tuple[str, str]]) -> str | None:
    for source, target in rows:
        match = re.fullmatch(re.escape(source).replace(r"\#", r"(\d+)") + r"((?:\..+)?)", name)
        if match:
            *numbers, rest = match.groups()
            for number in numbers:
                target = target.replace("#", number, 1)
            return target + rest
    return None


def tensors_of(encoder: Encoder) -> dict[str, Tensor]:
    """Every tensor of a plain (merged) encoder by our names, the masking vector included."""
    tensors = dict(encoder.state_dict())
    if encoder.mask_emb is not None:
        tensors["mask_emb"] = encoder.mask_emb
    return tensors
