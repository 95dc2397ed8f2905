"""Table, gradient check and the explanation of blanks."""

import logging
from dataclasses import replace

import pytest
import torch

from peft_asr.errors import UserError
from peft_asr.train.monitor import GradientCheck, explain_collapse, explain_failure, parameter_table
from peft_asr.train.optim import build_optimizer, named_parameters
from peft_asr.train.progress import Progress
from peft_asr.train.validate import Validation
from tests.train.fakes import FakeModel, make_config


def test_the_table_adds_up():
    lines = parameter_table(FakeModel().count_table()).splitlines()
    assert [line.split() for line in lines] == [
        ["part", "parameters", "train", "share", "of", "all"],
        ["upstream", "5,136", "0", "0.0000", "%"],
        ["adapter", "128", "128", "2.3854", "%"],
        ["head", "102", "102", "1.9009", "%"],
        ["total", "5,366", "230", "4.2862", "%"],
    ]
    assert len({len(line) for line in lines}) == 1


def checked(gradients):
    """Names warned about after steps with these gradients (one dict of name -> value per step)."""
    model = FakeModel()
    named = named_parameters(build_optimizer(model, make_config().train))
    check = GradientCheck(named)
    for step, values in enumerate(gradients, start=1):
        for name, p in named:
            p.grad = None if values.get(name, 1.0) is None else torch.full_like(p, values.get(name, 1.0))
        check.observe(step)


def test_a_first_factor_that_moves_in_the_second_step_is_fine(caplog):
    with caplog.at_level(logging.WARNING):
        checked([{"down.weight": 0.0}, {}])
    assert not caplog.records


@pytest.mark.parametrize("silent", [0.0, None])
def test_a_tensor_without_gradient_is_named(caplog, silent):
    with caplog.at_level(logging.WARNING):
        checked([{"up.weight": silent}, {"up.weight": silent}, {"up.weight": silent}])
    assert [r.getMessage() for r in caplog.records] == [
        "1 of 4 tensors that train had no gradient in the first 2 steps: up.weight"
    ]


EMPTY = Validation(loss=3.0, wer=100.0, cer=100.0, blank_share=0.995, empty_share=1.0, example=("u", "a", ""))


def explained(caplog, result=EMPTY, before=None, now=2.0, notes=0, total=110):
    history = [] if before is None else [{"train_loss": before}]
    progress = Progress(
        step=100, loss_sum=now * 10, loss_utterances=10, history=history, collapse_notes=notes
    )
    caplog.clear()
    with caplog.at_level(logging.WARNING):
        explain_collapse(result, progress, make_config(lr=0.02).train, total)
    return [r.getMessage() for r in caplog.records], progress.collapse_notes


def test_blanks_are_explained_with_the_trend_and_the_options(caplog):
    (message,), notes = explained(caplog, before=3.0)
    assert notes == 1
    assert message.startswith(
        "every hypothesis is empty at step 100, 99.5 % of the frames are blank, although the training"
    )
    assert "loss falls (3.000 to 2.000)" in message
    for word in (
        "normal early",
        "train.max_steps=30",
        "train.lr=0.02",
        "train.warmup_steps=0",
        "train.mask",
        "--peft",
    ):
        assert word in message
    assert "does not fall (1.000 to 2.000)" in explained(caplog, before=1.0)[0][0]
    assert "first look" in explained(caplog)[0][0]


def test_once_in_each_third_of_the_run(caplog):
    said = [explained(caplog, notes=n, total=t)[1] > n for n, t in ((1, 301), (1, 300), (2, 151), (2, 150))]
    assert said == [False, True, False, True]


def test_at_most_three_times_and_never_when_something_is_heard(caplog):
    assert explained(caplog, notes=2)[1] == 3
    assert explained(caplog, notes=3) == ([], 3)
    assert explained(caplog, result=replace(EMPTY, empty_share=0.9)) == ([], 0)
    assert explained(caplog, result=replace(EMPTY, blank_share=0.9)) == ([], 0)
    assert explained(caplog, result=replace(EMPTY, blank_share=None)) == ([], 0)  # a task without blanks


@pytest.mark.parametrize(
    "error,message",
    [
        (
            torch.OutOfMemoryError("CUDA out of memory. Tried"),
            "out of memory in epoch 1, batch 2; lower data.batch_s",
        ),
        (
            RuntimeError("DataLoader worker (pid 7) is killed by signal: Bus error.\nmore"),
            "set data.num_workers=0",
        ),
    ],
)
def test_failures_of_the_machine_say_what_to_change(error, message):
    with pytest.raises(UserError) as explained_error:
        explain_failure(error, make_config(), " in epoch 1, batch 2")
    assert message in str(explained_error.value) and "\n" not in str(explained_error.value)


def test_other_failures_are_not_explained_away():
    explain_failure(
        RuntimeError("mat1 and mat2 shapes cannot be multiplied"), make_config(), "epoch 1, batch 2"
    )
