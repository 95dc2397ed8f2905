"""A Hugging Face encoder without weights, on the meta device."""

import torch

from peft_asr.upstream.encoder import Encoder
from peft_asr.upstream.hf.families import family_of
from peft_asr.upstream.hf.geometry import HfGeometry
from peft_asr.upstream.hf.model import build_model


def build_hf_skeleton(geometry: HfGeometry) -> Encoder:
    """The encoder of this geometry with the module names and shapes of the real one, and no memory behind them."""
    with torch.device("meta"):
        return family_of(geometry.model_type, "this model").encoder(build_model(geometry), geometry)
