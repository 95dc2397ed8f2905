"""Fine-tuning of the top layers: what trains and from where, and that its gradients are those of full fine-tuning."""

import pytest
import torch

from peft_asr.errors import UserError
from peft_asr.tasks import SpeechModel, get_task
from tests.contract.cases import TOKENS, Case, make_batch


def trained(model: SpeechModel) -> set[str]:
    return {n for n, p in model.encoder.named_parameters() if p.requires_grad}


def gradients(model: SpeechModel) -> dict[str, torch.Tensor]:
    batch = make_batch([9000, 5000])
    get_task("asr", TOKENS).loss(*model(batch.inputs, batch.wav_lengths), batch).backward()
    return {name: p.grad for name, p in model.named_parameters() if p.grad is not None}


@pytest.mark.parametrize("family", ["hubert", "hubert_large", "wavlm"])
@pytest.mark.parametrize(
    ("options", "layers", "rest", "boundary"),
    [
        ({"n": 1}, [2], False, "layer:2"),
        ({"n": 3}, [0, 1, 2], False, "layer:0"),
        ({"layers": [1]}, [1], False, "layer:1"),
        ({"n": 2, "rest": True}, [1, 2], True, "conv"),
    ],
)
def test_what_trains(family, options, layers, rest, boundary, tiny_checkpoints):
    model = Case("top_n", family, options).build(tiny_checkpoints[family])
    names = [name for name, _ in model.encoder.named_parameters()]
    expected = {n for n in names if n.startswith(tuple(f"layers.{i}." for i in layers))}
    if rest:
        expected |= {n for n in names if not n.startswith(("frontend.", "layers."))}
        parts = {"projection", "position", "layers"}
        parts |= {"relative"} if family == "wavlm" else set()
        parts |= {"final_norm"} if family == "hubert_large" else set()
        assert {n.partition(".")[0] for n in expected} == parts
    assert trained(model) == expected and model.boundary == boundary
    assert {name for name, _ in model.parameter_groups()["backbone"]} == {f"encoder.{n}" for n in expected}
    assert model.injected.methods[0].unmergeable() is None


@pytest.mark.parametrize("options", [{"n": 2}, {"layers": [0]}, {"n": 3, "rest": True}])
def test_its_gradients_are_those_of_full_fine_tuning(options, tiny_checkpoints):
    path = tiny_checkpoints["hubert_large"]
    some = gradients(Case("top_n", "hubert_large", {**options, "dropout": False}).build(path))
    everything = gradients(Case("full", "hubert_large", {"dropout": False}).build(path))
    assert len(some) < len(everything)
    for name, gradient in some.items():
        torch.testing.assert_close(gradient, everything[name], atol=1e-6, rtol=1e-4)


def test_only_what_trains_has_dropout(tiny_checkpoint):
    def training(options: dict) -> list[bool]:
        encoder = Case("top_n", "hubert", options).build(tiny_checkpoint).train().encoder
        return [m.training for m in (encoder.frontend, encoder.position, *encoder.layers)]

    assert training({"n": 2}) == [False, False, False, True, True]
    assert training({"n": 1, "rest": True}) == [False, True, False, False, True]
    assert training({"n": 2, "dropout": False}) == [False] * 5


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"n": 0}, "top_n.n must lie between 1 and 3, the upstream's layers; got 0"),
        ({"n": 4}, "top_n.n must lie between 1 and 3, .*; got 4"),
        ({"layers": [5]}, r"indices from 0 to 2; got \[5\]"),
        ({"layers": "top:0"}, "with N from 1 to 3"),
        ({"top": 1}, "unknown option 'top' .*allowed: dropout, layers, n, rest"),
    ],
)
def test_bad_options(options, message, tiny_checkpoint):
    with pytest.raises(UserError, match=message) as caught:
        Case("top_n", "hubert", options).build(tiny_checkpoint)
    assert "\n" not in str(caught.value)


def test_the_preset_needs_eight_layers(tiny_checkpoint):
    with pytest.raises(UserError, match="top8_thomas2022.n must lie between 1 and 3"):
        Case("top8_thomas2022", "hubert").build(tiny_checkpoint)
