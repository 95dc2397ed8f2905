"""Trained from a dump equals trained from audio, for every method on every kind of upstream."""

from dataclasses import replace

import pytest
import torch
from torch.nn.utils.rnn import pad_sequence

from peft_asr.config import MaskConfig
from peft_asr.tasks import get_task
from peft_asr.train.masking import FeatureMasker
from peft_asr.upstream.boundary import CONV
from tests.contract.cases import CASES, TOKENS, Case, make_batch

SAMPLES = [9000, 7000, 4000]
MAIN = ["frozen", "weighted_sum", "houlsby", "adapterbias", "bitfit", "lora", "prefix", "lora+weighted_sum"]


def dumped(model, batch, masks=False, dtype=torch.float32):
    """The batch as a loader makes it from a dump: every utterance ran alone."""
    at = model.encoder.dump_boundary(masks)
    parts = [
        model.encoder.run_to(wav[None, :n], torch.tensor([n]), at)[0].to(dtype)
        for wav, n in zip(batch.inputs, batch.wav_lengths.tolist(), strict=True)
    ]
    if parts[0].ndim == 2:
        inputs = pad_sequence(parts, batch_first=True)
    else:
        inputs = pad_sequence([p.transpose(0, 1) for p in parts], batch_first=True).transpose(1, 2)
    return replace(batch, inputs=inputs, at=model.dump_boundary(masks))


def losses(model, batch, steps, mask=None):
    """Losses of so many steps on one batch, with what is random drawn alike."""
    task, masker = get_task("asr", TOKENS), mask and FeatureMasker(mask)
    model.train()
    if model.wants_first_batch:
        model.start(batch.inputs, batch.wav_lengths, batch.at)
    model.begin(steps)
    optimizer = torch.optim.Adam([p for p in model.parameters() if p.requires_grad], lr=1e-3)
    found = []
    for step in range(steps):
        torch.manual_seed(step)
        if masker:
            masker.reseed(step)
        optimizer.zero_grad()
        logits, frames = model(batch.inputs, batch.wav_lengths, masker=masker, at=batch.at)
        loss = task.loss(logits, frames, batch)
        penalty = model.penalty()
        (loss if penalty is None else loss + penalty).backward()
        optimizer.step()
        model.after_step(step + 1)
        found.append(loss.item())
    return found


def build(case, checkpoint, alone=False, masks=False):
    model = case.build(checkpoint)
    if alone:
        model.encoder.alone_to = model.encoder.dump_boundary(masks)
    return model


@pytest.mark.parametrize("case", CASES, ids=str)
def test_a_dump_changes_nothing(case, tiny_checkpoints):
    checkpoint, batch = tiny_checkpoints[case.family], make_batch(SAMPLES)
    model = build(case, checkpoint)
    if model.encoder.dump_boundary(False) < CONV:
        assert model.encoder.boundary < CONV
        return
    stored = dumped(model, batch)
    from_dump = losses(model, stored, 3)
    assert from_dump == losses(build(case, checkpoint, alone=True), batch, 3)
    batched = losses(build(case, checkpoint), batch, 3)
    assert batched[0] == pytest.approx(from_dump[0], abs=1e-5, rel=1e-5)
    # Adam turns the last bits of gradients near zero into whole steps.
    assert batched == pytest.approx(from_dump, abs=2e-3, rel=5e-4)


@pytest.mark.parametrize("spec", MAIN)
def test_fifty_steps_are_the_same_bits(spec, tiny_checkpoints):
    case, batch = Case(spec, "hubert"), make_batch(SAMPLES)
    model = build(case, tiny_checkpoints["hubert"])
    from_dump = losses(model, dumped(model, batch), 50)
    alone = build(case, tiny_checkpoints["hubert"], alone=True)
    assert from_dump == losses(alone, batch, 50)
    for (name, one), (_, other) in zip(model.named_parameters(), alone.named_parameters(), strict=True):
        assert torch.equal(one, other), name


@pytest.mark.parametrize("family", ["hubert", "hubert_large", "wavlm"])
@pytest.mark.parametrize("spec", MAIN)
def test_half_precision_is_near(spec, family, tiny_checkpoints):
    case, batch = Case(spec, family), make_batch(SAMPLES)
    model = build(case, tiny_checkpoints[family])
    half = losses(model, dumped(model, batch, dtype=torch.float16), 20)
    whole = losses(build(case, tiny_checkpoints[family]), batch, 20)
    torch.testing.assert_close(torch.tensor(half), torch.tensor(whole), atol=5e-3, rtol=5e-3)
    assert half != whole


@pytest.mark.parametrize(
    "spec, options, boundary",
    [
        ("lora", {}, "frontend"),
        ("lora", {"layers": "top:1"}, "layer:2"),
        ("frozen", {}, "all"),
        ("p_adapter", {}, "frontend"),
        ("full", {"freeze_frontend": True, "dropout": False}, "conv"),
    ],
)
def test_masks_are_the_same(spec, options, boundary, tiny_checkpoints):
    mask = MaskConfig(time_prob=0.3, time_length_frames=3, feature_prob=0.2, feature_length=4)
    case, batch = Case(spec, "hubert", options), make_batch(SAMPLES)
    model = build(case, tiny_checkpoints["hubert"])
    stored = dumped(model, batch, masks=True)
    assert stored.at == boundary
    from_dump = losses(model, stored, 3, mask)
    assert from_dump == losses(
        build(case, tiny_checkpoints["hubert"], alone=True, masks=True), batch, 3, mask
    )
    assert from_dump != losses(build(case, tiny_checkpoints["hubert"]), batch, 3)


@pytest.mark.parametrize("family", ["hubert", "hubert_large"])
def test_dropouts_of_the_frozen_layers_act_where_asked_for(family, tiny_checkpoints):
    case, batch = Case("lora", family), make_batch(SAMPLES)

    def start(dropouts):
        model = build(case, tiny_checkpoints[family])
        model.encoder.dropouts = dropouts
        return model

    quiet, loud = losses(start(False), batch, 2), losses(start(True), batch, 2)
    assert quiet != loud
    model = start(True)
    assert model.dump_boundary(False) == "frontend"
    torch.testing.assert_close(torch.tensor(losses(model, dumped(model, batch), 2)), torch.tensor(loud))
    model.eval()
    assert not any(layer.training for layer in model.encoder.layers)


def test_a_lower_boundary_does_as_well(tiny_checkpoints):
    case, batch = Case("lora", "hubert", {"layers": "top:1"}), make_batch(SAMPLES)
    whole = losses(build(case, tiny_checkpoints["hubert"]), batch, 2)
    for at, name in ((-2, "conv"), (-1, "frontend"), (0, "layer:0"), (1, "layer:1"), (2, "layer:2")):
        model = build(case, tiny_checkpoints["hubert"])
        parts = [
            model.encoder.run_to(wav[None, :n], torch.tensor([n]), at)[0]
            for wav, n in zip(batch.inputs, batch.wav_lengths.tolist(), strict=True)
        ]
        stored = replace(batch, inputs=pad_sequence(parts, batch_first=True), at=name)
        torch.testing.assert_close(torch.tensor(losses(model, stored, 2)), torch.tensor(whole))
