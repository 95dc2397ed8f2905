"""Tiny trained-looking adapters for the tests of merge, export and import."""

from pathlib import Path

import torch

from peft_asr.config import Config, HeadConfig, PeftConfig, UpstreamConfig
from peft_asr.tasks import SpeechModel, build
from peft_asr.tasks.adapter import Loaded, load_adapter, save_adapter
from peft_asr.text.tokenizer import Tokenizer
from tests.tiny import FAMILIES, random_wavs

TOKENS = ["<blank>", "<unk>", "<space>", *"abcdefg", "é"]

# Families of tests.tiny that transformers has a CTC model of.
MAPPED = [family for family in FAMILIES if family not in ("decoar2", "distilhubert")]

# (spec, options of its first part): LoRA in its forms.
LORAS = [
    ("lora", {}),
    (
        "lora",
        {"layers": "top:2", "targets": ["q", "o", "fc1", "fc2"], "rslora": True, "rank": 4, "dropout": 0.1},
    ),
    ("dora", {"layers": [0, 2], "targets": ["k", "v"], "alpha": 4.5}),
]


def save_world(
    folder: Path, checkpoint: str | None, spec: str = "lora", options: dict | None = None, **more
) -> Loaded:
    """As ``write_world``; what ``load_adapter`` makes of it."""
    write_world(folder, checkpoint, spec, options, **more)
    return load_adapter(folder)


def write_world(
    folder: Path,
    checkpoint: str | None,
    spec: str = "lora",
    options: dict | None = None,
    *,
    name: str = "hubert",
    head: str | None = None,
    projection: int = 0,
    tokenizer: Tokenizer | None = None,
) -> SpeechModel:
    """Write an adapter whose every tensor is away from its start; returns its model."""
    tokenizer = tokenizer or Tokenizer("char", TOKENS)
    config = Config(
        seed=3,
        upstream=UpstreamConfig(name=name, ckpt=checkpoint),
        peft=PeftConfig(spec, {spec.split("+")[0]: options} if options else {}),
        head=HeadConfig(name=head or "linear", projection=projection, hidden=8),
    )
    model = build(config, tokenizer)
    generator = torch.Generator().manual_seed(5)
    with torch.no_grad():
        for tensor in model.trainable_state().values():
            tensor.add_(0.1 * torch.randn(tensor.shape, generator=generator))
    save_adapter(folder, model, config, tokenizer, step=7, metrics={"wer": 12.5, "loss": 0.25})
    return model


def one_second(normalize: bool = False, eps: float = 1e-5) -> tuple[torch.Tensor, torch.Tensor]:
    """(1, 16000) samples as our model takes them, and the input values that they are for transformers' model.

    Args:
        eps: of the normalisation: s3prl's models have 1e-5, transformers' feature extractor 1e-7.
    """
    wavs, _ = random_wavs([16000])
    return wavs, torch.nn.functional.layer_norm(wavs, (16000,), eps=eps) if normalize else wavs


@torch.no_grad()
def logits_of(loaded: Loaded) -> torch.Tensor:
    """(1, T, V) of ``one_second``."""
    wavs, _ = one_second()
    return loaded.model(wavs, torch.tensor([16000]))[0]
