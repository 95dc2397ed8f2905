"""A small world for the loop: a frozen projection, an adapter and a head; utterances that can be learnt in
seconds."""

import json
from dataclasses import replace
from pathlib import Path

import torch
from safetensors.torch import save_file
from torch import nn
from torch.nn import functional as F
from torch.utils.data import DataLoader

from peft_asr.config import Config
from peft_asr.data.batch import Batch
from peft_asr.files import write_json
from peft_asr.tasks.task import Reading
from peft_asr.train.experiment import Experiment
from peft_asr.train.logfile import logging_to
from peft_asr.train.loop import fit
from peft_asr.train.parts import Parts

FRAME = 320
TOKENS = ["<blank>", "<unk>", " ", "a", "b", "c"]


class FakeModel(nn.Module):
    """frames -> frozen projection -> x + up(down(x)) -> dropout -> head."""

    def __init__(self, dim: int = 16, rank: int = 4, seed: int = 0):
        super().__init__()
        torch.manual_seed(seed)
        self.upstream = nn.Linear(FRAME, dim).requires_grad_(False)
        self.down = nn.Linear(dim, rank, bias=False)
        self.up = nn.Linear(rank, dim, bias=False)
        nn.init.zeros_(self.up.weight)
        self.dropout = nn.Dropout(0.1)
        self.head = nn.Linear(dim, len(TOKENS))

    def halve_frozen(self, dtype):
        return 0

    def forward(self, wavs, wav_lengths, masker=None, at="audio"):
        frames = wavs.shape[1] // FRAME
        lengths = wav_lengths // FRAME
        x = self.upstream(wavs[:, : frames * FRAME].unflatten(1, (frames, FRAME)))
        if masker is not None:
            x = masker(x, lengths, None)
        x = torch.tanh(x + self.up(self.down(x)))
        return self.head(self.dropout(x)).float(), lengths

    def parameter_groups(self):
        named = dict(self.named_parameters())
        return {
            "head": [(n, named[n]) for n in ("head.weight", "head.bias")],
            "method": [(n, named[n]) for n in ("down.weight", "up.weight")],
            "backbone": [],
        }

    wants_first_batch = False

    def labels(self):
        return {n: name for name, members in self.parameter_groups().items() for n, _ in members}

    def begin(self, total_steps):
        self.total_steps = total_steps

    def penalty(self):
        return None

    def after_step(self, step):
        pass

    def training_state(self):
        return {}

    def load_training_state(self, state):
        assert not state

    def count_table(self):
        rows = [("upstream", self.upstream), ("adapter", nn.Sequential(self.down, self.up))]
        rows.append(("head", self.head))
        return [
            {
                "part": part,
                "trainable": sum(p.numel() for p in m.parameters() if p.requires_grad),
                "total": sum(p.numel() for p in m.parameters()),
            }
            for part, m in rows
        ]

    def trainable_state(self):
        return {n: p.detach() for n, p in self.named_parameters() if p.requires_grad}

    def load_trainable_state(self, state):
        with torch.no_grad():
            for name, value in self.trainable_state().items():
                value.copy_(state[name])


class FakeTask:
    """CTC on characters."""

    metrics, ctc = ("wer", "cer"), True

    def reference(self, text, lang):
        return Reading(text)

    def loss(self, logits, lengths, batch):
        log_probs = logits.log_softmax(-1).transpose(0, 1)
        losses = F.ctc_loss(log_probs, batch.labels, lengths, batch.label_lengths, reduction="none")
        return losses.mean()

    def hypotheses(self, logits, lengths):
        texts = []
        for row, length in zip(logits.argmax(-1), lengths, strict=True):
            ids = torch.unique_consecutive(row[:length])
            texts.append(Reading(" ".join("".join(TOKENS[i] for i in ids.tolist() if i).split())))
        return texts

    def blank_share(self, logits, lengths):
        best = logits.argmax(-1)
        return (
            sum((row[:n] == 0).sum().item() for row, n in zip(best, lengths, strict=True))
            / lengths.sum().item()
        )


def make_utterances(count: int, seed: int) -> list[Batch]:
    """Utterances of 2 words: each label is two frames of a fixed pattern, between frames of noise."""
    generator = torch.Generator().manual_seed(123)
    patterns = torch.randn(len(TOKENS), FRAME, generator=generator)
    generator.manual_seed(seed)
    result = []
    for i in range(count):
        words = [
            "".join(TOKENS[j] for j in torch.randint(3, 6, (2 + (i + w) % 3,), generator=generator))
            for w in (0, 1)
        ]
        text = " ".join(words)
        ids = [TOKENS.index(c) for c in text]
        frames = []
        for label in ids:
            frames += [patterns[label], patterns[label], torch.zeros(FRAME)]
        wav = torch.cat(frames) + 0.3 * torch.randn(FRAME * len(frames), generator=generator)
        labels = torch.tensor([ids])
        result.append(
            Batch(
                [f"s{seed}-{i:03d}"],
                wav[None],
                torch.tensor([len(wav)]),
                labels,
                torch.tensor([len(ids)]),
                [text],
            )
        )
    return result


def collate(items: list[Batch]) -> Batch:
    """Pad to the longest."""
    return Batch(
        [i.utt_ids[0] for i in items],
        nn.utils.rnn.pad_sequence([i.inputs[0] for i in items], batch_first=True),
        torch.cat([i.wav_lengths for i in items]),
        nn.utils.rnn.pad_sequence([i.labels[0] for i in items], batch_first=True),
        torch.cat([i.label_lengths for i in items]),
        [i.texts[0] for i in items],
    )


class FakeLoader:
    """Batches of ``size``; the order is a function of (seed, epoch)."""

    def __init__(self, utterances, size=4, seed=0, shuffle=True, num_workers=0):
        self.utterances, self.size, self.seed, self.shuffle, self.num_workers = (
            utterances,
            size,
            seed,
            shuffle,
            num_workers,
        )

    def num_batches(self, epoch):
        return -(-len(self.utterances) // self.size)

    def epoch(self, epoch, start_batch=0):
        order = list(range(len(self.utterances)))
        if self.shuffle:
            order = torch.randperm(
                len(order), generator=torch.Generator().manual_seed(self.seed * 1000 + epoch)
            ).tolist()
        chunks = [order[i : i + self.size] for i in range(0, len(order), self.size)]
        yield from DataLoader(
            self.utterances,
            batch_sampler=chunks[start_batch:],
            collate_fn=collate,
            num_workers=self.num_workers,
        )

    def epochs(self, epoch, start_batch=0):
        while True:
            yield from self.epoch(epoch, start_batch)
            epoch, start_batch = epoch + 1, 0


def make_parts(count=24, seed=0, num_workers=0, valid=6) -> Parts:
    """Everything ``fit`` needs."""
    model = FakeModel(seed=seed)

    def save(folder: Path, step: int, metrics: dict) -> None:
        folder.mkdir(parents=True)
        save_file(
            {n: t.contiguous() for n, t in model.trainable_state().items()}, folder / "adapter.safetensors"
        )
        write_json(folder / "adapter.json", {"step": step, "metrics": metrics})

    train_loader = FakeLoader(make_utterances(count, 1), seed=seed, num_workers=num_workers)
    valid_loader = FakeLoader(make_utterances(valid, 2), shuffle=False)
    return Parts(model, FakeTask(), train_loader, valid_loader, save, {"train_utterances": count})


def make_config(**train) -> Config:
    """Options for a run of seconds."""
    config = Config()
    config.data = replace(config.data, train_dir="train", valid_dir="valid", token_dir="tokens")
    small = {"metric": "wer", "lr": 2e-2, "max_steps": 30, "valid_every": 10, "save_every": 5, "log_every": 5}
    config.train = replace(config.train, **small | train)
    return config


def run(exp: Path, config: Config, parts: Parts | None = None) -> Experiment:
    """Train with the fakes in ``exp``, with everything around the loop that a real run has."""
    experiment = Experiment(exp)
    with experiment.locked():
        experiment.admit(config, overwrite=False)
        if not experiment.complete:
            with logging_to(experiment.log) as log:
                fit(config, experiment, parts or make_parts(seed=config.seed), torch.device("cpu"), log)
    return experiment


def read_metrics(experiment: Experiment) -> list[dict]:
    """The records of metrics.jsonl."""
    return [json.loads(line) for line in experiment.metrics.read_text().splitlines()]
