"""Our hidden states against s3prl's expert, for every family."""

import importlib
from pathlib import Path
from unittest import mock

import pytest
import torch

from peft_asr.config import UpstreamConfig
from peft_asr.files import sha256
from peft_asr.upstream import find_checkpoint, load_upstream
from peft_asr.upstream.skeleton import build_skeleton
from tests.tiny import DECOAR2, FAMILIES, MORE, random_wavs, write_tiny_checkpoint

ALL = {**FAMILIES, **MORE}


@pytest.fixture(scope="module")
def checkpoints(tiny_checkpoints, tmp_path_factory) -> dict[str, str]:
    folder = tmp_path_factory.mktemp("more")
    return tiny_checkpoints | {name: write_tiny_checkpoint(folder / f"{name}.pt", name) for name in MORE}


def expert_states(family: str, path: str, wavs: list[torch.Tensor]) -> list[torch.Tensor]:
    from s3prl.upstream.decoar2 import decoar2

    module = importlib.import_module(f"s3prl.upstream.{ALL[family][0]}.expert")
    with mock.patch.dict(decoar2.args, DECOAR2):
        expert = module.UpstreamExpert(path).eval()
    with torch.no_grad():
        return list(expert(wavs)["hidden_states"])


def ours(path: str, padding: str = "exact"):
    return load_upstream(UpstreamConfig(name="tiny", ckpt=path, padding=padding))


@pytest.mark.parametrize("family", ALL)
@pytest.mark.parametrize("samples", [1600, 16001, 30000])
def test_single_utterance_equals_the_expert(family, samples, checkpoints):
    path = checkpoints[family]
    wavs, lengths = random_wavs([samples])
    reference = expert_states(family, path, [wavs[0]])
    encoder = ours(path)
    states, frames = encoder.hidden_states(wavs, lengths)
    assert len(states) == len(reference) == encoder.num_states == (7 if family == "distilhubert" else 4)
    assert frames.item() == reference[0].shape[1] == encoder.geometry.num_frames(samples)
    for state, expected in zip(states, reference, strict=True):
        torch.testing.assert_close(state, expected, atol=1e-4, rtol=0)


@pytest.fixture(scope="module")
def shipped() -> str:
    """The upstream that comes with the repository: trained weights, which tiny random ones may not stand for."""
    return str(find_checkpoint(UpstreamConfig(name="mini_hubert")))


@pytest.mark.parametrize("samples", [1600, 16001, 30000])
def test_the_shipped_upstream_equals_the_expert(samples, shipped):
    wavs, lengths = random_wavs([samples])
    reference = expert_states("hubert", shipped, [wavs[0]])
    encoder = load_upstream(UpstreamConfig(name="mini_hubert"))
    states, frames = encoder.hidden_states(wavs, lengths)
    assert len(states) == len(reference) == encoder.num_states == 7
    assert frames.item() == reference[0].shape[1] == encoder.geometry.num_frames(samples)
    for state, expected in zip(states, reference, strict=True):
        torch.testing.assert_close(state, expected, atol=1e-4, rtol=0)


def test_the_shipped_upstream_in_a_batch(shipped):
    wavs, lengths = random_wavs([24000, 8000, 1600, 23999])
    exact, frames = load_upstream(UpstreamConfig(name="mini_hubert")).hidden_states(wavs, lengths)
    as_s3prl, _ = ours(shipped, padding="s3prl").hidden_states(wavs, lengths)
    batch = expert_states("hubert", shipped, [w[:n] for w, n in zip(wavs, lengths, strict=True)])
    for i, n in enumerate(lengths.tolist()):
        alone = expert_states("hubert", shipped, [wavs[i, :n]])
        for layer, expected in enumerate(alone):
            torch.testing.assert_close(exact[layer][i, : frames[i]], expected[0], atol=1e-4, rtol=0)
            torch.testing.assert_close(
                as_s3prl[layer][i, : frames[i]], batch[layer][i, : frames[i]], atol=1e-4, rtol=0
            )


def test_the_shipped_file_is_that_of_its_provenance(shipped):
    text = Path(shipped).with_name("PROVENANCE.md").read_text(encoding="utf-8")
    size = Path(shipped).stat().st_size
    assert size < 8_000_000 and f"`mini_hubert.pt`, {size:,} bytes" in text
    assert f"| SHA-256 | `{sha256(shipped)}` |" in text


@pytest.mark.parametrize("family", ALL)
def test_batch_gives_what_each_utterance_gives_alone(family, checkpoints):
    encoder = ours(checkpoints[family])
    wavs, lengths = random_wavs([24000, 8000, 1600, 23999])
    states, frames = encoder.hidden_states(wavs, lengths)
    for i, n in enumerate(lengths.tolist()):
        alone, alone_frames = encoder.hidden_states(wavs[i : i + 1, :n], lengths[i : i + 1])
        assert frames[i] == alone_frames[0]
        for state, expected in zip(states, alone, strict=True):
            torch.testing.assert_close(state[i, : frames[i]], expected[0], atol=2e-5, rtol=0)


@pytest.mark.parametrize("family", ALL)
def test_s3prl_padding_reproduces_s3prls_batch(family, checkpoints):
    path = checkpoints[family]
    wavs, lengths = random_wavs([24000, 8000, 17777])
    reference = expert_states(family, path, [w[:n] for w, n in zip(wavs, lengths, strict=True)])
    states, frames = ours(path, padding="s3prl").hidden_states(wavs, lengths)
    for state, expected in zip(states, reference, strict=True):
        for i, n in enumerate(frames.tolist()):
            torch.testing.assert_close(state[i, :n], expected[i, :n], atol=1e-4, rtol=0)


@pytest.mark.parametrize("family", ALL)
def test_the_skeleton_has_its_names_and_shapes(family, checkpoints):
    encoder = ours(checkpoints[family])
    skeleton = build_skeleton(encoder.geometry)
    assert skeleton.num_states == encoder.num_states and all(p.is_meta for p in skeleton.parameters())
    for real, blank in (
        (encoder.named_parameters(), skeleton.named_parameters()),
        (encoder.layers.named_buffers(), skeleton.layers.named_buffers()),
    ):
        assert {name: t.shape for name, t in real} == {name: t.shape for name, t in blank}


def test_s3prls_own_batch_differs_from_the_single_utterance(tiny_checkpoints):
    """Why `exact` exists: with group norm over the padding, s3prl's batch changes the short utterance."""
    path = tiny_checkpoints["hubert"]
    wavs, lengths = random_wavs([24000, 8000])
    batch = expert_states("hubert", path, [wavs[0], wavs[1, :8000]])
    alone = expert_states("hubert", path, [wavs[1, :8000]])
    n = alone[0].shape[1]
    assert (batch[-1][1, :n] - alone[-1][0]).abs().max() > 1e-2


@pytest.mark.parametrize("family", ALL)
def test_parameters_are_shared_with_the_checkpoints_model(family, checkpoints):
    from peft_asr.upstream.checkpoint import family_module
    from peft_asr.upstream.safe_load import read_checkpoint

    module = family_module(
        {"hubert_large": "hubert", "xls_r": "wav2vec2"}.get(
            family, family.removesuffix("_large").removesuffix("_ungated")
        )
    )
    state = read_checkpoint(checkpoints[family])
    model, geometry = module.build(state, "tiny")
    theirs = {t.untyped_storage().data_ptr() for t in model.state_dict().values()}
    encoder = module.to_encoder(model, geometry)
    assert all(t.untyped_storage().data_ptr() in theirs for t in encoder.state_dict().values())
    saved = next(state[key] for key in ("model_weight", "model", "Distiller") if key in state)
    assert torch.equal(encoder.layers[1].q.weight, saved["encoder.layers.1.self_attn.q_proj.weight"])
    if family != "data2vec":  # whose stack of convolutions has no weight norm
        norm = encoder.position.pos_conv[0].parametrizations.weight
        assert torch.equal(norm.original0, saved["encoder.pos_conv.0.weight_g"])
        assert torch.equal(norm.original1, saved["encoder.pos_conv.0.weight_v"])
    assert not any(p.requires_grad for p in encoder.parameters())
