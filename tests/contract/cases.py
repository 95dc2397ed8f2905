"""What the contract runs over: a new method or family is one line here."""

from dataclasses import dataclass, field

import torch

from peft_asr.config import Config, HeadConfig, PeftConfig, UpstreamConfig
from peft_asr.data.batch import Batch
from peft_asr.tasks import SpeechModel, build
from peft_asr.text.tokenizer import Tokenizer
from tests.tiny import FAMILIES, random_wavs

TOKENS = Tokenizer("char", ["<blank>", "<unk>", "a", "b", "c", "<space>"])

# (spec, options): every registered method stands in at least one of them (a test checks that).
METHODS = [
    ("frozen", {}),
    ("weighted_sum", {}),
    ("weighted_sum", {"normalize": True}),
    ("lora", {}),
    ("lora", {"layers": "top:2", "rank": 4}),
    ("lora", {"layers": [1], "targets": ["k", "fc1"], "dropout": 0.2}),
    ("lora_all", {}),
    ("rslora", {}),
    ("dora", {}),
    ("full", {}),
    ("full", {"freeze_frontend": True, "dropout": False}),
    ("lora+weighted_sum", {}),
]

HEADS = [HeadConfig(), HeadConfig(name="blstm", projection=16, hidden=12)]


@dataclass(frozen=True)
class Case:
    """One method on one upstream family."""

    spec: str
    family: str
    options: dict = field(default_factory=dict, hash=False)

    def __str__(self) -> str:
        options = ",".join(f"{key}={value}" for key, value in self.options.items())
        return f"{self.spec}({options})-{self.family}"

    def config(self, checkpoint: str, head: HeadConfig | None = None) -> Config:
        """The config of this case on a checkpoint file."""
        first = self.spec.split("+")[0]
        options = {first: dict(self.options)} if self.options else {}
        return Config(
            seed=3,
            upstream=UpstreamConfig(name=self.family, ckpt=checkpoint),
            peft=PeftConfig(self.spec, options),
            head=head or HeadConfig(),
        )

    def build(self, checkpoint: str, head: HeadConfig | None = None) -> SpeechModel:
        """The model of this case."""
        return build(self.config(checkpoint, head), TOKENS)


CASES = [Case(spec, family, options) for spec, options in METHODS for family in FAMILIES]
CASES_ONE_FAMILY = [case for case in CASES if case.family == "hubert"]


def make_batch(samples: list[int], seed: int = 0) -> Batch:
    """Noise with short random transcripts."""
    wavs, lengths = random_wavs(samples, seed)
    generator = torch.Generator().manual_seed(seed)
    labels = torch.randint(2, len(TOKENS), (len(samples), 3), generator=generator)
    texts = [TOKENS.decode(row.tolist()) for row in labels]
    ids = [f"utt{i}" for i in range(len(samples))]
    return Batch(ids, wavs, lengths, labels, torch.full((len(samples),), 3), texts)
