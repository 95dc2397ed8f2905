"""Gradients of a step: means over utterances, nothing non-finite in the weights."""

import logging
import math

import pytest
import torch

from peft_asr.errors import UserError
from peft_asr.train.optim import build_optimizer
from peft_asr.train.step import NonfiniteGuard, apply, gather
from peft_asr.train.stop import StopSignals
from tests.train.fakes import FakeModel, FakeTask, collate, make_config, make_utterances

CPU = torch.device("cpu")


def gathered(model, batches, task=None, guard=None, **options):
    settings = {"seed": 0, "device": CPU, "dtype": None, "masker": None, "stop": StopSignals()} | options
    guard = guard or NonfiniteGuard(make_config(), 0, 0)
    numbered = [(1, i, batch) for i, batch in enumerate(batches)]
    return gather(model, task or FakeTask(), numbered, guard=guard, **settings)


def gradients(model):
    return {n: p.grad.clone() for n, p in model.named_parameters() if p.grad is not None}


def test_accumulated_batches_give_the_gradient_of_one_large_batch():
    utterances = make_utterances(7, 1)
    results = []
    for split in ([7], [2, 5], [1, 3, 3]):
        model = FakeModel().eval()  # no dropout
        optimizer = build_optimizer(model, make_config().train)
        chunks, rest = [], utterances
        for size in split:
            chunks, rest = [*chunks, collate(rest[:size])], rest[size:]
        done = gathered(model, chunks)
        assert done.utterances == 7
        norm = apply(optimizer, 0.0, done.utterances)
        results.append((done.loss_sum / 7, norm, gradients(model), model.trainable_state()))
    for loss, norm, grads, state in results[1:]:
        assert loss == pytest.approx(results[0][0], rel=1e-5) and norm == pytest.approx(
            results[0][1], rel=1e-4
        )
        for name, grad in grads.items():
            torch.testing.assert_close(grad, results[0][2][name], rtol=1e-4, atol=1e-6)
            torch.testing.assert_close(state[name], results[0][3][name], rtol=1e-3, atol=1e-4)


def test_the_frozen_part_gets_no_gradient():
    model = FakeModel()
    gathered(model, [collate(make_utterances(4, 1))])
    assert sorted(gradients(model)) == ["down.weight", "head.bias", "head.weight", "up.weight"]


def test_clipping_limits_the_global_norm():
    model = FakeModel()
    optimizer = build_optimizer(model, make_config().train)
    done = gathered(model, [collate(make_utterances(4, 1))])
    norm = apply(optimizer, 0.5, done.utterances)
    clipped = math.sqrt(sum(g.square().sum().item() for g in gradients(model).values()))
    assert norm > 0.5 and clipped == pytest.approx(0.5, rel=1e-4)


def test_what_a_batch_draws_depends_on_its_position_only():
    batches = [collate(u) for u in (make_utterances(4, 1), make_utterances(4, 3))]
    model = FakeModel().train()
    gathered(model, batches)
    first = gradients(model)
    model.zero_grad()
    torch.manual_seed(99)
    gathered(model, batches)
    assert all(torch.equal(g, first[n]) for n, g in gradients(model).items())
    model.zero_grad()
    gathered(model, batches, seed=1)
    assert not torch.equal(gradients(model)["head.weight"], first["head.weight"])


def test_loss_is_float32_under_autocast():
    seen = []

    class Watching(FakeTask):
        def loss(self, logits, lengths, batch):
            seen.append(logits.dtype)
            return super().loss(logits, lengths, batch)

    class HalfLogits(FakeModel):
        def forward(self, wavs, wav_lengths, masker=None, at="audio"):
            logits, lengths = super().forward(wavs, wav_lengths, masker)
            return logits.bfloat16(), lengths

    gathered(HalfLogits(), [collate(make_utterances(2, 1))], task=Watching(), dtype=torch.bfloat16)
    assert seen == [torch.float32]


def impossible(utterances, index):
    """More labels than frames for one utterance."""
    utterances[index].labels = torch.full((1, 400), 3)
    utterances[index].label_lengths = torch.tensor([400])
    return collate(utterances)


def test_a_nonfinite_loss_is_skipped_and_the_utterance_named(caplog):
    model = FakeModel().eval()
    good = collate(make_utterances(3, 1))
    with caplog.at_level(logging.WARNING):
        done = gathered(model, [good, impossible(make_utterances(4, 5), 2), good])
    assert done.utterances == 6 and math.isfinite(done.loss_sum)
    assert [r.getMessage() for r in caplog.records] == [
        "the loss is not finite in epoch 1, batch 1 (utterances s5-002 (inf)): skipped (1 of at most 5 in a row)"
    ]
    with_bad = gradients(model)
    model.zero_grad()
    gathered(model, [good, good])
    assert all(torch.equal(g, with_bad[n]) for n, g in gradients(model).items())


def test_too_many_nonfinite_losses_in_a_row_name_the_batch():
    model = FakeModel()
    config = make_config(nonfinite_limit=2)
    good = collate(make_utterances(3, 1))
    bad = [impossible(make_utterances(2, 5 + i), 0) for i in range(3)]
    gathered(model, [*bad[:2], good, *bad[:2]], guard=NonfiniteGuard(config, 0, 0))  # never 3 in a row
    with pytest.raises(UserError) as error:
        gathered(model, bad, guard=NonfiniteGuard(config, 0, 0))
    message = str(error.value)
    assert message.startswith("the loss was not finite 3 times in a row, the last time in epoch 1, batch 2")
    assert "s7-000 (inf)" in message and "train.nonfinite_limit=2" in message and "train.lr=0.02" in message
    with pytest.raises(UserError):  # one more after a resume with 2 behind it
        gathered(model, bad[:1], guard=NonfiniteGuard(config, 2, 0))


def test_a_nonfinite_gradient_never_reaches_the_weights():
    model = FakeModel()
    optimizer = build_optimizer(model, make_config().train)
    done = gathered(model, [collate(make_utterances(3, 1))])
    model.up.weight.grad[0, 0] = math.nan
    before = {n: t.clone() for n, t in model.trainable_state().items()}
    assert not math.isfinite(apply(optimizer, 1.0, done.utterances))
    assert all(torch.equal(t, before[n]) for n, t in model.trainable_state().items())
    assert not optimizer.state


def test_nonfinite_gradients_end_the_run_too():
    guard = NonfiniteGuard(make_config(nonfinite_limit=1), 0, 0)
    guard.gradient(False, "epoch 1, batch 0")
    guard.gradient(True, "epoch 1, batch 1")
    guard.gradient(False, "epoch 1, batch 2")
    with pytest.raises(
        UserError, match="the gradient was not finite 2 times in a row, the last time in epoch 1, batch 3"
    ):
        guard.gradient(False, "epoch 1, batch 3")


def test_a_requested_stop_ends_it_between_batches():
    stop = StopSignals()
    batches = [collate(make_utterances(2, s)) for s in (1, 2)]

    def ask():
        yield 1, 0, batches[0]
        stop.requested = 15
        yield 1, 1, batches[1]

    guard = NonfiniteGuard(make_config(), 0, 0)
    done = gather(
        FakeModel(), FakeTask(), ask(), seed=0, device=CPU, dtype=None, masker=None, guard=guard, stop=stop
    )
    assert done.utterances == 2
