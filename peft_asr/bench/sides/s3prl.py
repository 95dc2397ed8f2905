"""s3prl: the upstream expert, its featurizer and the loop of its downstream runner, with a linear CTC head.

Left out, in s3prl's favour: the hypotheses that its recogniser makes of every training batch, and its logs.
"""

import time
from pathlib import Path
from typing import Any

import torch
from torch import nn
from torch.nn.utils.rnn import pad_sequence

from peft_asr import compat  # noqa: F401  s3prl imports torchaudio
from peft_asr.bench.gauge import Gauge, count_trainable, peak_mb, reset_peak, resident_mb
from peft_asr.bench.setting import Setting
from peft_asr.bench.workload import load_task, loaded, seconds_of, training_batches
from peft_asr.data.dataset import SpeechDataset
from peft_asr.data.tables import table_text


class Downstream(nn.Module):
    """A linear map to the tokens, and CTC, as s3prl's recogniser computes it; token 0 is the blank."""

    def __init__(self, dim: int, classes: int):
        super().__init__()
        self.output = nn.Linear(dim, classes)
        self.objective = nn.CTCLoss(blank=0, zero_infinity=True)

    def log_probs(self, features: list[torch.Tensor]) -> tuple[torch.Tensor, torch.Tensor]:
        """Unpadded features, B times (T, D) -> (B, T, V) and (B,)."""
        lengths = torch.tensor([len(feature) for feature in features])
        return self.output(pad_sequence(features, batch_first=True)).log_softmax(dim=-1), lengths

    def forward(self, features: list[torch.Tensor], labels: list[list[int]]) -> torch.Tensor:
        """The loss of a batch."""
        log_probs, lengths = self.log_probs(features)
        label_lengths = torch.tensor([len(label) for label in labels])
        targets = pad_sequence([torch.tensor(label) for label in labels], batch_first=True)
        return self.objective(log_probs.transpose(0, 1), targets.to(log_probs.device), lengths, label_lengths)


def build_models(setting: Setting, selection: str) -> tuple[nn.Module, nn.Module, Downstream]:
    """Upstream, featurizer (``hidden_states``: their weighted sum; or ``last_hidden_state``), head."""
    from s3prl.upstream.hubert.expert import UpstreamExpert
    from s3prl.upstream.interfaces import Featurizer

    upstream = UpstreamExpert(str(setting.checkpoint)).to(setting.device)
    featurizer = Featurizer(upstream, selection, upstream_device=setting.device).to(setting.device)
    torch.manual_seed(setting.seed)
    head = Downstream(featurizer.output_dim, load_task(setting).classes)
    return upstream, featurizer, head.to(setting.device)


def _collate(items: list[tuple]) -> tuple:
    return [samples for _, samples in items], [utterance for utterance, _ in items]


def train(setting: Setting, options: dict[str, Any]) -> dict:
    """Options: ``selection`` (as ``build_models``), ``full`` (bool: the upstream trains as well)."""
    gauge = Gauge(setting.warmup, setting.device)
    upstream, featurizer, head = build_models(setting, options["selection"])
    full = options["full"]
    upstream.train(full).requires_grad_(full)
    modules = [upstream, featurizer.train(), head.train()] if full else [featurizer.train(), head.train()]
    parameters = [p for module in modules for p in module.parameters()]
    optimizer = torch.optim.Adam(parameters, lr=1e-4)
    dataset, batches = training_batches(setting, grouped=True)

    gauge.start()
    for wavs, utterances in gauge.fed(loaded(dataset, batches, _collate)):
        wavs = [torch.FloatTensor(wav).to(setting.device) for wav in wavs]
        with torch.set_grad_enabled(full):
            features = upstream(wavs)
        loss = head(featurizer(wavs, features), [utterance.labels for utterance in utterances])
        loss.backward()
        torch.nn.utils.clip_grad_norm_(parameters, 1.0)
        optimizer.step()
        optimizer.zero_grad()
        gauge.stepped(loss.item(), len(utterances), seconds_of(utterances))
    # s3prl counts its frozen convolutions as trainable; what has no gradient does not train.
    trained = count_trainable(*modules)
    if full:
        trained = sum(p.numel() for p in parameters if optimizer.state.get(p))
    return gauge.report(trained, dtype="float32")


def decode_all(setting: Setting, options: dict[str, Any]) -> dict:
    """Greedy, one utterance at a time as in s3prl's evaluation, from audio to a text file on disk."""
    upstream, featurizer, head = build_models(setting, options["selection"])
    upstream.eval(), featurizer.eval(), head.eval()
    task = load_task(setting)
    dataset = SpeechDataset.load(setting.corpus / "test", None, role="test")
    warmup = SpeechDataset.load(setting.corpus / "valid", None, role="test")

    @torch.no_grad()
    def recognise(dataset: SpeechDataset, out: Path) -> None:
        found = {}
        by_length = sorted(range(len(dataset)), key=lambda i: -dataset.utterances[i].samples)
        for wavs, utterances in loaded(dataset, [[index] for index in by_length], _collate):
            wavs = [torch.FloatTensor(wav).to(setting.device) for wav in wavs]
            log_probs, lengths = head.log_probs(featurizer(wavs, upstream(wavs)))
            for row, length, utterance in zip(log_probs, lengths.tolist(), utterances, strict=True):
                ids = row[:length].argmax(dim=-1).unique_consecutive()
                found[utterance.utt_id] = task.tokenizer.decode(ids[ids != 0].tolist())
        out.write_text(table_text(found), encoding="utf-8")

    out = setting.checkpoint.parent / f"s3prl_{setting.corpus.name}.txt"
    recognise(warmup, out)
    before_mb = resident_mb()
    reset_peak(setting.device)
    began = time.perf_counter()
    recognise(dataset, out)
    wall_s = time.perf_counter() - began
    return {
        "step_s": wall_s / (dataset.seconds / 60),
        "steps": dataset.seconds / 60,
        "unit": "minute of speech",
        "utterances": len(dataset),
        "audio_s": dataset.seconds,
        "trainable": count_trainable(featurizer, head),
        "losses": [],
        "finite": True,
        "peak_mb": peak_mb(setting.device),
        "resident_mb": before_mb,
    }
