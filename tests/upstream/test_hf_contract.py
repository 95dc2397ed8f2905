"""Hugging Face upstreams keep the contract, and count what is published."""

import pytest
import torch
from transformers import (
    ASTConfig,
    ASTFeatureExtractor,
    HubertConfig,
    Wav2Vec2FeatureExtractor,
    WavLMConfig,
    WhisperConfig,
    WhisperFeatureExtractor,
)

from peft_asr import peft
from peft_asr.config import PeftConfig
from peft_asr.upstream.hf import hf_geometry
from peft_asr.upstream.hf.skeleton import build_hf_skeleton
from tests.contract import checks
from tests.contract.cases import Case
from tests.tiny import random_wavs

FAMILIES = ["hf_wav2vec2_large", "hf_wavlm", "hf_whisper", "hf_ast"]
LORA_ALL = {"targets": ["q", "k", "v", "o", "fc1", "fc2"]}


@pytest.mark.parametrize("family", FAMILIES)
@pytest.mark.parametrize(("spec", "options"), [("lora", LORA_ALL), ("full", {})])
@pytest.mark.parametrize(
    "check", ["identity_at_start", "gradients", "pretrained_untouched", "acts", "boundary", "merge", "modes"]
)
def test_the_contract(check, spec, options, family, tiny_hf):
    getattr(checks, f"check_{check}")(Case(spec, family, options), tiny_hf[family])


@pytest.mark.parametrize("family", FAMILIES)
@pytest.mark.parametrize("spec", ["lora", "full", "weighted_sum"])
def test_counts_on_the_skeleton_are_those_of_the_real_one(spec, family, tiny_hf):
    model = Case(spec, family).build(tiny_hf[family])
    trains = {n: tuple(p.shape) for n, p in model.encoder.named_parameters() if p.requires_grad}
    skeleton, methods = build_hf_skeleton(model.encoder.geometry), peft.resolve(PeftConfig(spec))
    assert sum(peft.count(skeleton, methods).values()) == sum(
        map(torch.Size.numel, map(torch.Size, trains.values()))
    )
    peft.inject(skeleton, methods)
    assert {n: tuple(p.shape) for n, p in skeleton.named_parameters() if p.requires_grad} == trains


@pytest.mark.parametrize("family", FAMILIES)
def test_a_trained_model_is_blind_to_batch_mates(family, tiny_hf):
    model = Case("lora", family, LORA_ALL).build(tiny_hf[family])
    for _ in checks._steps(model.train(), 1):
        pass
    model.eval()
    wavs, lengths = random_wavs([12000, 5000, 1600])
    with torch.no_grad():
        together, frames = model(wavs, lengths)
        for i, n in enumerate(lengths.tolist()):
            alone, count = model(wavs[i : i + 1, :n], lengths[i : i + 1])
            torch.testing.assert_close(together[i, : frames[i]], alone[0, : count[0]], atol=5e-5, rtol=0)


@pytest.fixture(scope="module")
def published(tmp_path_factory):
    """Skeletons of published geometries, from configuration files alone."""
    made = {
        "ast": (ASTConfig(), ASTFeatureExtractor()),
        "hubert_base": (HubertConfig(), Wav2Vec2FeatureExtractor()),
        "wavlm_base": (WavLMConfig(), Wav2Vec2FeatureExtractor(do_normalize=False)),
        "whisper_base": (
            WhisperConfig(d_model=512, encoder_layers=6, encoder_attention_heads=8, encoder_ffn_dim=2048),
            WhisperFeatureExtractor(),
        ),
    }

    def skeleton(name):
        folder = tmp_path_factory.mktemp(name)
        for part in made[name]:
            part.save_pretrained(folder)
        return build_hf_skeleton(hf_geometry(str(folder)))

    return skeleton


def size(module, part=""):
    return sum(p.numel() for name, p in module.named_parameters() if name.endswith(part))


def test_counts_of_ast(published):
    ast = published("ast")
    assert [size(layer) for layer in ast.layers] == [7_087_872] * 12
    assert size(ast, "bias") == 102_912
    assert size(ast) == 86_187_264
    g = ast.geometry
    assert (g.window_samples, g.tokens, g.num_frames(16000), g.num_frames(163841)) == (
        163_840,
        1214,
        1214,
        2428,
    )
    lora = PeftConfig("lora", {"lora": {"rank": 6, "targets": ["q", "v"]}})
    assert peft.count(ast, peft.resolve(lora)) == {"lora": 221_184}


def test_counts_of_speech_models(published):
    hubert, wavlm = published("hubert_base"), published("wavlm_base")
    assert size(hubert) == 94_370_944
    assert sum(size(layer, "bias") for layer in hubert.layers) == 101_376
    assert sum(size(layer, "bias") for layer in wavlm.layers) == 101_472
    assert size(wavlm) - size(hubert) == 12 * (64 * 8 + 8 + 12) + 320 * 12
    for encoder in (hubert, wavlm):
        assert peft.count(encoder, peft.resolve(PeftConfig("lora"))) == {"lora": 294_912}


def test_counts_of_whispers_encoder(published):
    whisper = published("whisper_base")
    d, ffn = 512, 2048
    layer = 4 * d * d + 3 * d + 2 * d * ffn + ffn + d + 4 * d  # the key projection has no bias
    convolutions = 80 * 3 * d + d + 3 * d * d + d
    assert [size(part) for part in whisper.layers] == [layer] * 6
    # The positions (1500 x 512) never train and are no parameters with us.
    assert size(whisper) == 6 * layer + convolutions + 2 * d == 19_822_592
    g = whisper.geometry
    assert (g.window_samples, g.k_bias, g.num_frames(480_000), g.num_frames(16_001)) == (
        480_000,
        False,
        1500,
        51,
    )
