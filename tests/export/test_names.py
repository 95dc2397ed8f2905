"""Names, both ways, held against transformers' own models."""

import dataclasses

import pytest
import torch

from peft_asr.config import UpstreamConfig
from peft_asr.errors import UserError
from peft_asr.export.names import CLASSES, Names, family_of, tensors_of
from peft_asr.export.to_hf import hf_model
from peft_asr.upstream import load_upstream
from peft_asr.upstream.geometry import Geometry
from tests.export.worlds import MAPPED
from tests.tiny import write_tiny_checkpoint
from tests.tiny_hf import write_tiny_hf

HF_MAPPED = [
    "hf_wav2vec2", "hf_wav2vec2_large", "hf_mhubert", "hf_wavlm_large", "hf_data2vec", "hf_unispeech_sat",
]  # fmt: skip


def encoder_of(family: str, folder):
    if family in HF_MAPPED:
        return load_upstream(UpstreamConfig(name=f"hf:{write_tiny_hf(folder / family, family)}"))
    return load_upstream(UpstreamConfig(name=family, ckpt=write_tiny_checkpoint(folder / "up.pt", family)))


@pytest.mark.parametrize("family", [*MAPPED, "unispeech_sat", "unispeech_sat_large", *HF_MAPPED])
def test_every_tensor_has_its_place_in_transformers(family, tmp_path):
    encoder = encoder_of(family, tmp_path)
    names, tensors = Names(encoder), tensors_of(encoder)
    theirs = hf_model(encoder, classes=9).state_dict()
    for name, tensor in tensors.items():
        assert torch.equal(theirs[names.to_hf(name)], tensor), name
        assert names.from_hf(names.to_hf(name)) == name
    assert {names.to_hf(name) for name in tensors} == set(theirs) and len(theirs) == len(tensors)


@pytest.mark.parametrize("family", [*MAPPED, "unispeech_sat", *HF_MAPPED])
def test_hidden_states_are_the_same(family, tmp_path):
    encoder = encoder_of(family, tmp_path)
    wavs = torch.randn(1, 8000, generator=torch.Generator().manual_seed(1))
    given = torch.nn.functional.layer_norm(wavs, (8000,))  # nothing is left for either to normalise
    with torch.no_grad():
        states, _ = encoder.hidden_states(given, torch.tensor([8000]))
        theirs = hf_model(encoder, classes=9)(given, output_hidden_states=True)
    # Of a pre-LN model transformers lists the last state before the final norm.
    for ours, state in zip(states, [*theirs.hidden_states[:-1], theirs.last_hidden_state], strict=True):
        torch.testing.assert_close(ours, state, atol=2e-5, rtol=1e-5)


def test_modules_have_names_too(tiny_checkpoint):
    names = Names(load_upstream(UpstreamConfig(ckpt=tiny_checkpoint)))
    assert names.to_hf("layers.11.o") == "encoder.layers.11.attention.out_proj"
    assert names.from_hf("encoder.layers.3.feed_forward.intermediate_dense") == "layers.3.fc1"
    assert names.to_hf("layers.3.fc11") is None and names.from_hf("lm_head.weight") is None


def test_an_unknown_family_is_an_error():
    geometry = Geometry("hubert", 8, 8, 2, 2)
    assert family_of(dataclasses.replace(geometry, family="hf_data2vec_audio")) == "data2vec"
    with pytest.raises(UserError, match=f"family decoar2, which .*; allowed: {', '.join(CLASSES)}"):
        family_of(dataclasses.replace(geometry, family="decoar2"))
