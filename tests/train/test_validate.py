"""Numbers of a validation pass."""

import logging
import math

import pytest
import torch

from peft_asr.tasks.task import Reading
from peft_asr.train.stop import StopSignals
from peft_asr.train.validate import cost, metrics_text, validate
from tests.train.fakes import FakeLoader, FakeModel, FakeTask, make_utterances

CPU = torch.device("cpu")


class Oracle(FakeModel):
    """Says what ``texts`` lists, by putting each label on frames of its own."""

    def __init__(self, labels):
        super().__init__()
        self.labels = labels  # utterance length -> ids

    def forward(self, wavs, wav_lengths, masker=None, at="audio"):
        assert not self.training and not torch.is_grad_enabled()
        lengths = wav_lengths // 320
        logits = torch.zeros(len(wavs), int(lengths.max()), 6)
        for row, n in enumerate(wav_lengths.tolist()):
            path = [i for label in self.labels[n] for i in (label, 0)]
            path += [0] * (logits.shape[1] - len(path))
            logits[row, torch.arange(logits.shape[1]), torch.tensor(path)] = 20.0
        return logits, lengths


def by_length(utterances):
    labels = {int(u.wav_lengths[0]): u.labels[0].tolist() for u in utterances}
    assert len(labels) == len(utterances)
    return labels


def distinct(count, seed=4):
    """Utterances of different lengths."""
    seen = {int(u.wav_lengths[0]): u for u in make_utterances(60, seed)}
    return list(seen.values())[:count]


def test_a_perfect_and_an_imperfect_model():
    utterances = distinct(3)
    labels = by_length(utterances)
    loader = FakeLoader(utterances, size=2, shuffle=False)
    result = validate(Oracle(labels), FakeTask(), loader, CPU)
    assert (result.wer, result.cer, result.empty_share) == (0.0, 0.0, 0.0)
    frames = sum(int(u.wav_lengths[0]) // 320 for u in utterances)
    assert result.blank_share == pytest.approx(1 - sum(map(len, labels.values())) / frames)

    first = int(utterances[0].wav_lengths[0])
    letters = sum(len(u.texts[0]) for u in utterances)
    labels[first] = labels[first][:-1]  # the last letter is missing: one wrong word of six
    result = validate(Oracle(labels), FakeTask(), loader, CPU)
    assert result.wer == pytest.approx(100 / 6) and result.cer == pytest.approx(100 / letters)
    assert result.example == (utterances[0].utt_ids[0], utterances[0].texts[0], utterances[0].texts[0][:-1])


def test_the_loss_is_a_mean_over_utterances_not_batches():
    utterances = make_utterances(5, 4)
    model = FakeModel()
    losses = [
        validate(model, FakeTask(), FakeLoader(utterances, size=s, shuffle=False), CPU).loss
        for s in (1, 4, 5)
    ]
    assert losses == pytest.approx([losses[0]] * 3, rel=1e-5)
    assert model.training


def test_an_impossible_utterance_is_left_out_of_the_loss_and_named(caplog):
    utterances = make_utterances(5, 4)
    good = validate(FakeModel(), FakeTask(), FakeLoader(utterances[1:], shuffle=False), CPU).loss
    utterances[0].labels, utterances[0].label_lengths = torch.full((1, 400), 3), torch.tensor([400])
    with caplog.at_level(logging.WARNING):
        result = validate(FakeModel(), FakeTask(), FakeLoader(utterances, size=2, shuffle=False), CPU)
    assert result.loss == pytest.approx(good, rel=1e-5)
    assert (
        "leaves out 1 of 5 utterances whose own is not finite" in caplog.text
        and "s4-000 (inf)" in caplog.text
    )


def test_a_model_of_nans_has_an_infinite_loss():
    model = FakeModel()
    with torch.no_grad():
        model.head.bias.fill_(math.nan)
    assert validate(model, FakeTask(), FakeLoader(make_utterances(3, 4), shuffle=False), CPU).loss == math.inf


def test_a_requested_stop_ends_it():
    stop = StopSignals()
    stop.requested = 2
    model = FakeModel()
    assert validate(model, FakeTask(), FakeLoader(make_utterances(3, 4)), CPU, None, stop) is None
    assert model.training


@pytest.mark.parametrize("asked", [True, False])
def test_data_workers_that_die_of_the_same_signal(asked):
    class Dying(FakeLoader):
        def epoch(self, epoch, start_batch=0):
            yield next(super().epoch(epoch))
            stop.requested = 15 if asked else None
            raise RuntimeError("DataLoader worker (pid 7) is killed by signal: Terminated.")

    stop = StopSignals()
    loader = Dying(make_utterances(8, 4))
    if asked:
        assert validate(FakeModel(), FakeTask(), loader, CPU, None, stop) is None
    else:
        with pytest.raises(RuntimeError, match="DataLoader worker"):
            validate(FakeModel(), FakeTask(), loader, CPU, None, stop)


class Says:
    """A task whose outputs are read as ``said``, one after another."""

    ctc = True

    def __init__(self, metrics, refs, said):
        self.metrics, self.refs, self.said = metrics, list(refs), list(said)

    def loss(self, logits, lengths, batch):
        return logits.mean()

    def reference(self, text, lang):
        return self.refs.pop(0)

    def hypotheses(self, logits, lengths):
        return [self.said.pop(0) for _ in lengths]

    def blank_share(self, logits, lengths):
        return None if not self.ctc else 0.25


def test_only_the_metrics_of_the_task():
    refs = [Reading("DH AH0 K", "fra"), Reading("K", "swa")]
    said = [Reading("DH AH1", "swa"), Reading("K", "swa")]
    loader = FakeLoader(make_utterances(2, 4), size=2, shuffle=False)
    task = Says(("per", "acc"), refs, said)
    result = validate(FakeModel(), task, loader, CPU)
    # 1 of 4 phones is another one and 1 is missing; 1 of 2 languages is right.
    assert result.metrics == {"loss": result.loss, "per": 50.0, "acc": 50.0}
    assert (result.wer, result.cer, result.blank_share) == (None, None, 0.25)
    assert result.example[1:] == ("[fra] DH AH0 K", "[swa] DH AH1")
    assert metrics_text(result.metrics) == "PER 50.00 %, accuracy 50.00 %"


def test_a_task_without_blanks_has_no_share_of_them():
    task = Says(("acc",), [Reading("fra", "fra")], [Reading("", None)])
    task.ctc = False
    result = validate(FakeModel(), task, FakeLoader(make_utterances(1, 4), shuffle=False), CPU)
    assert (result.blank_share, result.acc, result.empty_share) == (None, 0.0, 1.0)


def test_choosing_minimises_errors_and_maximises_accuracy():
    assert cost({"loss": 2.0, "acc": 75.0, "cer": 30.0}, "acc") == 25.0
    assert cost({"loss": 2.0, "acc": 75.0, "cer": 30.0}, "cer") == 30.0
