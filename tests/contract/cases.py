"""What the contract runs over: a new method or family is one line here."""

from dataclasses import dataclass, field

import torch

from peft_asr.config import Config, HeadConfig, PeftConfig, UpstreamConfig
from peft_asr.data.batch import Batch
from peft_asr.tasks import SpeechModel, build
from peft_asr.text.tokenizer import Tokenizer
from tests.tiny import FAMILIES as TINY
from tests.tiny import random_wavs

TOKENS = Tokenizer("char", ["<blank>", "<unk>", "a", "b", "c", "<space>"])

# (spec, options): every registered method (a test checks that) and every form of module.
METHODS = [
    ("frozen", {}),
    ("weighted_sum", {}),
    ("weighted_sum", {"normalize": True}),
    ("full", {}),
    ("full", {"freeze_frontend": True, "dropout": False}),
    ("top_n", {"n": 2}),
    ("top_n", {"n": 1, "rest": True}),
    ("bitfit", {}),
    ("bitfit_all", {}),
    ("layernorm", {}),
    ("lora", {}),
    ("lora", {"layers": "top:2", "rank": 4}),
    ("lora", {"layers": [1], "targets": ["k", "fc1"], "dropout": 0.2}),
    ("lora_all", {}),
    ("rslora", {}),
    ("dora", {}),
    ("pissa", {"dropout": 0.1}),
    ("olora", {}),
    ("adalora", {}),
    ("ia3", {}),
    ("ia3", {"targets": ["q", "fc1", "fc2"], "feedforward": ["fc1"]}),
    ("vera", {}),
    ("peft:loha", {}),
    ("peft:fourierft", {"n_frequency": 20}),
    ("qlora", {}),
    ("lora+weighted_sum", {}),
    ("houlsby", {}),
    ("houlsby_thomas2022", {}),
    ("houlsby_mixed", {}),
    ("hydra", {}),
    ("convpass_hou_par", {}),
    ("bottleneck", {"size": 4, "learned_scale": True, "norm": "pre", "dropout": 0.2, "layers": "top:2"}),
    ("bottleneck", {"size": 4, "sites": ["attn_before", "ffn_parallel"], "norm": "post", "scale": 0.5}),
    (
        "bottleneck",
        {"size": 4, "inner": "convpass", "init": "torch", "train_layernorm": "all", "layers": [1]},
    ),
    ("adapterbias", {}),
    ("e_adapter", {}),
    ("l_adapter", {"layers": "top:2"}),
    ("el", {}),
    ("elp", {}),
    ("p_adapter", {"where": "suffix"}),
    ("p_adapter", {"nonlinear": True, "length": 3}),
    ("prefix", {}),
    ("prefix", {"init": "normal", "layers": [1]}),
    ("prefix+bitfit", {}),
    ("prompt", {"tokens": 3}),
    ("prompt", {"tokens": 30, "deep": False}),
    ("adapter_prompt_lora", {}),
]

# All methods on every family that differs in what a method can meet: post-LN, pre-LN, relative positions, filterbanks,
# a spectrogram transformer, modules of transformers. The other families see what uses the whole layer.
ALL_METHODS = ["hubert", "hubert_large", "wavlm", "decoar2", "hf_wav2vec2_large", "hf_ast"]
SOME_METHODS = [
    ("lora_all", {}),
    ("houlsby_mixed", {}),
    ("prefix", {}),
    ("el", {}),
    ("full", {}),
    ("weighted_sum", {}),
]
# What training does around a model is the same for all families but where these take other paths: relative positions,
# filter banks, modules of transformers.
AROUND_FAMILIES = ["wavlm", "decoar2", "hf_ast"]
AROUND_METHODS = [("lora_all", {}), ("houlsby_mixed", {}), ("prefix", {}), ("full", {"dropout": False})]
# 35 s on every family; those that take a window at most cut it.
LONG_METHODS = [("lora", {}), ("prompt", {"tokens": 3}), ("weighted_sum", {})]
WINDOWED = ["hf_whisper", "hf_ast"]
# A fixed number of positions leaves no room before the positional stage (a test holds the refusal).
NO_ROOM = {"hf_ast": ("p_adapter", "elp"), "hf_whisper": ("p_adapter", "elp")}

SMALL = {"hidden": 12, "attention_heads": 2, "feedforward": 16}
HEADS = [
    HeadConfig(),
    HeadConfig(name="blstm", projection=16, hidden=12),
    HeadConfig(name="transformer", **SMALL),
    HeadConfig(name="mlsuperb", projection=10, **SMALL),
]


@dataclass(frozen=True)
class Case:
    """One method on one upstream family."""

    spec: str
    family: str
    options: dict = field(default_factory=dict, hash=False)
    long_audio: str = "refuse"

    def __str__(self) -> str:
        options = ",".join(f"{key}={value}" for key, value in self.options.items())
        return f"{self.spec}({options})-{self.family}"

    def config(self, checkpoint: str, head: HeadConfig | None = None) -> Config:
        """The config of this case on a checkpoint file."""
        first = self.spec.split("+")[0].replace(":", "_")
        options = {first: dict(self.options)} if self.options else {}
        upstream = UpstreamConfig(name=self.family, ckpt=checkpoint)
        if self.family.startswith("hf_"):
            upstream = UpstreamConfig(name=f"hf:{checkpoint}", long_audio=self.long_audio)
        return Config(
            seed=3,
            upstream=upstream,
            peft=PeftConfig(self.spec, options),
            head=head or HeadConfig(),
        )

    def build(self, checkpoint: str, head: HeadConfig | None = None) -> SpeechModel:
        """The model of this case."""
        return build(self.config(checkpoint, head), TOKENS)


FAMILIES = [*TINY, "hf_wav2vec2_large", "hf_whisper", "hf_ast"]
CASES = [
    Case(spec, family, options)
    for family in FAMILIES
    for spec, options in (METHODS if family in ALL_METHODS else SOME_METHODS)
    if spec not in NO_ROOM.get(family, ())
]
CASES_ONE_FAMILY = [case for case in CASES if case.family == "hubert"]
CASES_AROUND = CASES_ONE_FAMILY + [
    Case(spec, family, options) for family in AROUND_FAMILIES for spec, options in AROUND_METHODS
]
CASES_LONG = CASES_ONE_FAMILY + [
    Case(spec, family, options, "window" if family in WINDOWED else "refuse")
    for family in FAMILIES
    if family != "hubert"
    for spec, options in LONG_METHODS
]


def make_batch(samples: list[int], seed: int = 0) -> Batch:
    """Noise with short random transcripts."""
    wavs, lengths = random_wavs(samples, seed)
    generator = torch.Generator().manual_seed(seed)
    labels = torch.randint(2, len(TOKENS), (len(samples), 3), generator=generator)
    texts = [TOKENS.decode(row.tolist()) for row in labels]
    ids = [f"utt{i}" for i in range(len(samples))]
    return Batch(ids, wavs, lengths, labels, torch.full((len(samples),), 3), texts)
