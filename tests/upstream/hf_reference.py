"""transformers' own forward, to hold ours against."""

import torch
from torch import Tensor

from peft_asr import compat  # noqa: F401  transformers imports torchaudio
from peft_asr.config import UpstreamConfig
from peft_asr.upstream.encoder import Encoder
from peft_asr.upstream.hf import load_hf


def load(path: str, **options) -> Encoder:
    """Our encoder of a directory."""
    return load_hf(UpstreamConfig(name=f"hf:{path}", **options))


def reference_model(path: str) -> torch.nn.Module:
    """transformers' model of a directory, as its own loader builds it."""
    from transformers import AutoModel

    model = AutoModel.from_pretrained(path)
    return getattr(model, "encoder", model) if model.config.model_type == "whisper" else model


@torch.no_grad()
def reference_states(path: str, wav: Tensor) -> list[Tensor]:
    """All hidden states (T, D) of one waveform (N,), the last one after the final norm."""
    from transformers import AutoFeatureExtractor

    extractor = AutoFeatureExtractor.from_pretrained(path)
    inputs = extractor(wav.numpy(), sampling_rate=16000, return_tensors="pt")
    model = reference_model(path)
    out = model(inputs[model.main_input_name], output_hidden_states=True)
    return [state[0] for state in (*out.hidden_states[:-1], out.last_hidden_state)]
