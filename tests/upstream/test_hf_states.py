"""Hugging Face upstreams: hidden states are transformers' own, and a batch gives what each utterance gives alone."""

import copy

import pytest
import torch

from peft_asr.errors import UserError
from peft_asr.upstream.hf import hf_geometry
from peft_asr.upstream.hf.families import FAMILIES
from peft_asr.upstream.hf.skeleton import build_hf_skeleton
from tests.tiny import random_wavs
from tests.tiny_hf import HF_FAMILIES, LAYERS
from tests.upstream.hf_reference import load, reference_model, reference_states

every_family = pytest.mark.parametrize("family", HF_FAMILIES)
WINDOWED = ["hf_whisper", "hf_ast"]


@every_family
def test_hidden_states_are_those_of_transformers(family, tiny_hf):
    wavs, lengths = random_wavs([9000])
    states, frames = load(tiny_hf[family]).hidden_states(wavs, lengths)
    theirs = reference_states(tiny_hf[family], wavs[0])
    assert len(states) == len(theirs) == LAYERS + 1
    for ours, expected in zip(states, theirs, strict=True):
        torch.testing.assert_close(ours[0, : frames[0]], expected[: frames[0]], atol=1e-4, rtol=0)
    assert theirs[-1].std() > 0.1 and (theirs[-1] - theirs[0]).abs().max() > 0.5, "a test that sees nothing"
    assert frames.tolist() == [{"hf_whisper": 29, "hf_ast": 50}.get(family, 27)]


@pytest.mark.parametrize("family", ["hf_hubert", "hf_wav2vec2_large", "hf_data2vec", *WINDOWED])
def test_a_quiet_recording_is_treated_as_theirs(family, tiny_hf):
    """The variance is 1e-8: normalisation with s3prl's epsilon would be far off."""
    wavs, lengths = random_wavs([6000])
    states, frames = load(tiny_hf[family]).hidden_states(1e-3 * wavs, lengths)
    theirs = reference_states(tiny_hf[family], 1e-3 * wavs[0])
    torch.testing.assert_close(states[-1][0, : frames[0]], theirs[-1][: frames[0]], atol=1e-4, rtol=0)


@every_family
def test_a_batch_gives_what_each_gives_alone(family, tiny_hf):
    encoder = load(tiny_hf[family])
    wavs, lengths = random_wavs([12000, 5000, 1600])
    together, frames = encoder.hidden_states(wavs, lengths)
    for i, n in enumerate(lengths.tolist()):
        alone, count = encoder.hidden_states(wavs[i : i + 1, :n], lengths[i : i + 1])
        assert count.item() == frames[i] == encoder.geometry.num_frames(n)
        for ours, expected in zip(together, alone, strict=True):
            torch.testing.assert_close(ours[i, :count], expected[0, :count], atol=2e-5, rtol=0)


def test_whispers_frames_are_begun_20_ms(tiny_hf):
    encoder = load(tiny_hf["hf_whisper"])
    samples = [1, 320, 321, 15999, 16000]
    states, frames = encoder.hidden_states(*random_wavs(samples))
    assert frames.tolist() == [1, 1, 2, 50, 50] == [encoder.geometry.num_frames(n) for n in samples]
    assert states[0].shape[1] >= 50


@pytest.mark.parametrize("family", WINDOWED)
def test_longer_audio_is_refused(family, tiny_hf):
    with pytest.raises(
        UserError, match=r"of 1\.50 s is longer than the 1\.00 s .*upstream.long_audio=window"
    ):
        load(tiny_hf[family]).hidden_states(*random_wavs([24000]))


@pytest.mark.parametrize("family", WINDOWED)
def test_windows_are_those_one_by_one(family, tiny_hf):
    whole, cut = load(tiny_hf[family]), load(tiny_hf[family], long_audio="window")
    wavs, lengths = random_wavs([16000 + 9000, 3000])
    states, frames = cut.hidden_states(wavs, lengths)
    assert frames.tolist() == [cut.geometry.num_frames(n) for n in (25000, 3000)]
    first, _ = whole.hidden_states(wavs[:1, :16000], torch.tensor([16000]))
    second, rest = whole.hidden_states(wavs[:1, 16000:], torch.tensor([9000]))
    assert frames[0] == 50 + rest[0]
    for ours, one, two in zip(states, first, second, strict=True):
        expected = torch.cat([one[0], two[0, :rest]])
        torch.testing.assert_close(ours[0, : frames[0]], expected, atol=2e-5, rtol=0)
    alone, count = whole.hidden_states(wavs[1:, :3000], lengths[1:])
    assert count == frames[1]
    torch.testing.assert_close(states[-1][1, :count], alone[-1][0, :count], atol=2e-5, rtol=0)


def test_a_rest_shorter_than_one_ast_frame_is_silence(tiny_hf):
    wavs, lengths = random_wavs([16100])
    states, frames = load(tiny_hf["hf_ast"], long_audio="window").hidden_states(wavs, lengths)
    assert frames.tolist() == [100] and states[-1].isfinite().all()
    with pytest.raises(UserError, match="399 samples is too short .* needs 400"):
        load(tiny_hf["hf_ast"]).hidden_states(*random_wavs([399]))


@every_family
def test_the_weights_are_transformers_own_and_shared(family, tiny_hf):
    geometry = hf_geometry(tiny_hf[family])
    model = reference_model(tiny_hf[family])
    around = FAMILIES[geometry.model_type].encoder(model, geometry).state_dict()
    theirs = {tensor.data_ptr(): name for name, tensor in model.state_dict(keep_vars=True).items()}
    assert {tensor.data_ptr() for tensor in around.values() if tensor.numel()} <= theirs.keys()
    held = {tensor.data_ptr() for tensor in around.values()}
    unused = {name for place, name in theirs.items() if place not in held}
    assert unused <= {"masked_spec_embed", "encoder.pos_conv_embed.batch_norm.num_batches_tracked"}
    ours = load(tiny_hf[family]).state_dict()
    assert ours.keys() == around.keys()
    assert all(torch.equal(ours[name], tensor) for name, tensor in around.items())


@every_family
def test_the_skeleton_has_the_names_and_shapes_of_the_real_one(family, tiny_hf):
    real, skeleton = load(tiny_hf[family]), build_hf_skeleton(hf_geometry(tiny_hf[family]))
    shapes = {name: tuple(p.shape) for name, p in real.named_parameters()}
    assert {name: tuple(p.shape) for name, p in skeleton.named_parameters()} == shapes
    assert all(p.is_meta for p in skeleton.parameters())


@every_family
def test_copies_work_after_a_forward(family, tiny_hf):
    encoder = load(tiny_hf[family])
    batch = random_wavs([4000])
    states, _ = encoder.hidden_states(*batch)
    again, _ = copy.deepcopy(encoder).hidden_states(*batch)
    assert torch.equal(states[-1], again[-1])


@pytest.mark.parametrize(("family", "taker"), [("hf_whisper", "conv1"), ("hf_ast", "patches")])
def test_a_spectrogram_is_the_same_under_bfloat16(family, taker, tiny_hf):
    encoder, seen = load(tiny_hf[family]), []
    getattr(encoder.frontend, taker).register_forward_pre_hook(lambda module, inputs: seen.append(inputs[0]))
    batch = random_wavs([9000])
    full, _ = encoder.hidden_states(*batch)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        half, _ = encoder.hidden_states(*batch)
    assert torch.equal(*seen)
    assert not torch.equal(full[-1], half[-1].float()), "autocast did nothing"
