"""``adalora``: schedule, pruning, penalty, resuming, against huggingface/peft's own AdaLoRA model."""

from types import SimpleNamespace

import pytest
import torch

from peft_asr import peft
from peft_asr.config import PeftConfig
from peft_asr.errors import UserError
from peft_asr.upstream import HUB, load_upstream
from peft_asr.upstream.skeleton import build_skeleton
from tests.methods.peft_cases import (
    TOTAL,
    PeftCase,
    check_all,
    check_budget,
    check_penalty,
    make_optimizer,
    scheduled_steps,
    singular_values,
)
from tests.tiny import random_wavs

OPTIONS = {"init_r": 6, "target_r": 3, "tinit": 2, "tfinal": 4, "deltaT": 3, "alpha": 12.0}
CASE = PeftCase("adalora", "hubert", OPTIONS)


@pytest.mark.parametrize("options", [{}, {"layers": [1, 2], "targets": ["k", "fc2"]}], ids=str)
def test_it_keeps_the_contract(options, tiny_checkpoints):
    check_all(PeftCase("adalora", "hubert", options), tiny_checkpoints)


def test_the_budget_is_reached_on_schedule(tiny_checkpoint):
    check_budget(CASE, tiny_checkpoint)


def test_the_penalty_is_the_distance_from_orthogonality(tiny_checkpoint):
    check_penalty(CASE, tiny_checkpoint)
    assert PeftCase("adalora", "hubert", {"orth_reg_weight": 0.0}).build(tiny_checkpoint).penalty() is None


def test_it_trains_as_pefts_own_model_does(tiny_checkpoint):
    """Same start, same batches, peft's forward (with its penalty) and update_and_allocate: the same tensors."""
    from peft import AdaLoraConfig
    from peft.tuners.adalora import AdaLoraModel

    ours = CASE.build(tiny_checkpoint).encoder.train()
    method = ours_method(ours)
    theirs = load_upstream(CASE.config(tiny_checkpoint).upstream)
    config = AdaLoraConfig(
        target_modules=["q", "v"],
        init_r=6,
        target_r=3,
        tinit=2,
        tfinal=4,
        deltaT=3,
        lora_alpha=12,
        total_step=TOTAL,
    )
    tuner = AdaLoraModel(theirs, config, "adalora")
    theirs.boundary = 0
    mine, other = (
        {n: p for n, p in e.named_parameters() if p.requires_grad and "lora_" in n} for e in (ours, theirs)
    )
    with torch.no_grad():
        for name in mine:
            other[name].copy_(mine[name])
    theirs.forward = lambda *batch: SimpleNamespace(loss=loss_of(type(theirs).forward(theirs, *batch)))
    optimizers = [torch.optim.AdamW(tensors.values(), lr=1e-2) for tensors in (mine, other)]
    method.begin(ours, TOTAL)
    for step in range(1, TOTAL + 1):
        batch = random_wavs([4000, 3000], seed=step)
        for optimizer in optimizers:
            optimizer.zero_grad()
        (loss_of(ours(*batch)) + method.penalty(ours)).backward()
        tuner(*batch).loss.backward()
        for optimizer in optimizers:
            optimizer.step()
        method.after_step(ours, step)
        tuner.update_and_allocate(step)
        for name, tensor in mine.items():
            torch.testing.assert_close(tensor, other[name], atol=1e-5, rtol=0, msg=f"step {step}: {name}")


def ours_method(encoder):
    """The method whose modules stand in this encoder."""
    (method,) = peft.resolve(PeftConfig("adalora", {"adalora": OPTIONS}))
    return method


def loss_of(output):
    return output[0].square().mean()


@pytest.mark.parametrize("stop", [1, 5, 8, 10])
def test_killed_and_resumed_it_ends_with_the_same_tensors(stop, tiny_checkpoint):
    """Stops before tinit, between two prunings, at the last pruning, and after it."""
    straight = CASE.build(tiny_checkpoint).train()
    for _ in scheduled_steps(straight, TOTAL):
        pass
    killed = CASE.build(tiny_checkpoint).train()
    optimizer = make_optimizer(killed)
    for _ in scheduled_steps(killed, stop, optimizer=optimizer):
        pass
    saved = [
        {name: t.clone() for name, t in state.items()}
        for state in (killed.trainable_state(), killed.training_state())
    ]
    resumed = CASE.build(tiny_checkpoint).train()
    again = make_optimizer(resumed)
    again.load_state_dict(optimizer.state_dict())
    resumed.load_trainable_state(saved[0])
    resumed.load_training_state(saved[1])
    for _ in scheduled_steps(resumed, TOTAL, done=stop, optimizer=again):
        pass
    expected = straight.trainable_state()
    for name, tensor in resumed.trainable_state().items():
        assert torch.equal(tensor, expected[name]), name
    final = straight.training_state()
    assert final.keys() == resumed.training_state().keys()
    assert all(torch.equal(t, final[name]) for name, t in resumed.training_state().items())


def test_a_state_that_was_loaded_is_saved_again_before_training_goes_on(tiny_checkpoint):
    model = CASE.build(tiny_checkpoint).train()
    for _ in scheduled_steps(model, 5):
        pass
    state = model.training_state()
    assert any(t.dtype == torch.bool for t in state.values()), "what is pruned is part of the state"
    other = CASE.build(tiny_checkpoint)
    other.load_training_state(state)
    assert all(torch.equal(t, state[name]) for name, t in other.training_state().items())


def test_two_of_them_prune_each_for_itself(tiny_checkpoint):
    """Their names contain each other's, by which peft's allocator tells tensors apart."""
    top = {"method": "adalora", **OPTIONS, "layers": [2], "target_r": 1}
    options = {"adalora": {**OPTIONS, "layers": [0, 1]}, "adalora_top": top}
    model = PeftCase("adalora+adalora_top", "hubert", options).build(tiny_checkpoint).train()
    for _ in scheduled_steps(model, TOTAL):
        pass
    ranks = [int((e != 0).sum()) for e in singular_values(model)]
    assert sum(ranks[:4]) == 3 * 4 and sum(ranks[4:]) == 1 * 2


def test_the_schedule_follows_the_length_of_training(tiny_checkpoint):
    model = PeftCase("adalora", "hubert", {"init_r": 6, "target_r": 3}).build(tiny_checkpoint)
    model.begin(1000)
    config = model.injected.methods[0]._allocator.peft_config
    assert (config.tinit, config.tfinal, config.total_step) == (100, 300, 1000)


def test_the_count():
    skeleton = build_skeleton(HUB["hubert_base"].geometry)
    methods = peft.resolve(PeftConfig("adalora"))
    assert peft.count(skeleton, methods) == {"adalora": 24 * (12 * (768 + 768) + 12)} == {"adalora": 442_656}


BAD = [
    ({"target_r": 12}, r"1 <= target_r < init_r <= 32 .*got target_r 12, init_r 12"),
    ({"init_r": 33}, r"<= 32 \(the width of the map\); got target_r 8, init_r 33"),
    ({"target_r": 0}, r"got target_r 0"),
    ({"beta1": 1.0}, r"adalora.beta1 must lie between 0 and 1"),
    ({"tinit": -1}, r"adalora.tinit must be at least 0; got -1"),
    ({"deltaT": 0}, r"adalora.deltaT must be at least 1; got 0"),
    ({"dropout": -0.1}, r"adalora.dropout must lie in"),
    ({"target_rank": 3}, r"unknown option 'target_rank' .*did you mean 'target_r'"),
]


@pytest.mark.parametrize(("options", "message"), BAD, ids=str)
def test_bad_options_give_one_sentence(options, message, tiny_checkpoint):
    with pytest.raises(UserError, match=message):
        PeftCase("adalora", "hubert", options).build(tiny_checkpoint)


def test_a_training_too_short_for_its_schedule_is_an_error(tiny_checkpoint):
    with pytest.raises(UserError, match=r"tinit \(2\) \+ adalora.tfinal \(4\) must be below the 6 steps"):
        CASE.build(tiny_checkpoint).begin(6)
