"""What is particular to single families."""

import copy

import pytest
import torch
from torch import nn

from peft_asr.config import Config, PeftConfig, UpstreamConfig
from peft_asr.tasks import build
from peft_asr.upstream import load_upstream
from peft_asr.upstream.relative import Gate, RelativeBias
from tests.contract.cases import TOKENS
from tests.tiny import random_wavs


def load(path: str, **options):
    return load_upstream(UpstreamConfig(name="tiny", ckpt=path, **options))


@pytest.mark.parametrize(("buckets", "distance", "frames"), [(32, 40, 90), (320, 800, 1749)])
def test_distances_fall_into_s3prls_buckets(buckets, distance, frames):
    from s3prl.upstream.wavlm.modules import MultiheadAttention

    theirs = MultiheadAttention(
        8,
        2,
        self_attention=True,
        has_relative_attention_bias=True,
        num_buckets=buckets,
        max_distance=distance,
    )
    ours = RelativeBias(theirs.relative_attention_bias, distance)
    offsets = torch.arange(1 - frames, frames)
    assert torch.equal(ours._buckets(offsets), theirs._relative_positions_bucket(offsets))
    assert torch.equal(ours(60, torch.device("cpu")), theirs.compute_bias(60, 60))


def test_a_gate_leaves_a_bias_of_zero_alone():
    """Prompts stand at the front with bias 0; what they attend to has no position."""
    gate = Gate(nn.Linear(4, 8), nn.Parameter(torch.randn(1, 2, 1, 1)))
    bias = torch.randn(2, 5, 5)
    bias[:, :2] = bias[:, :, :2] = 0
    gated = gate(torch.randn(3, 5, 8), bias)
    assert gated.shape == (3, 2, 5, 5)
    assert (gated[:, :, :2] == 0).all() and (gated[..., :2] == 0).all() and (gated[:, :, 2:, 2:] != 0).all()


@pytest.mark.parametrize("part", ["relative.embedding.weight", "layers.1.gate.linear.weight"])
def test_positions_and_gates_take_part(part, tiny_checkpoints):
    encoder = load(tiny_checkpoints["wavlm"])
    wavs, lengths = random_wavs([8000])
    before, _ = encoder(wavs, lengths)
    encoder.get_parameter(part).data.mul_(0.5)
    after, _ = encoder(wavs, lengths)
    assert (before - after).abs().max() > 1e-3


@pytest.mark.parametrize("family", ["wavlm", "decoar2", "distilhubert"])
def test_deepcopy_and_random_weights(family, tiny_checkpoints):
    path = tiny_checkpoints[family]
    encoder, config = load(path), {"random_init": True}
    wavs, lengths = random_wavs([4000])
    expected, _ = encoder(wavs, lengths)
    torch.testing.assert_close(copy.deepcopy(encoder)(wavs, lengths)[0], expected)
    first, _ = load(path, **config)(wavs, lengths)
    again, _ = load(path, **config)(wavs, lengths)
    assert torch.equal(first, again) and first.isfinite().all() and (first - expected).abs().max() > 1e-2


def test_the_head_sees_distilhuberts_last_layer_and_no_prediction(tiny_checkpoints):
    """SUPERB and the paper drop the prediction heads; in a weighted sum they are three of L + 4 states."""
    encoder = load(tiny_checkpoints["distilhubert"])
    wavs, lengths = random_wavs([8000, 5000])
    features, frames = encoder(wavs, lengths)
    states, _ = encoder.hidden_states(wavs, lengths)
    for i, n in enumerate(frames.tolist()):
        torch.testing.assert_close(features[i, :n], states[3][i, :n])
    upstream = UpstreamConfig(name="tiny", ckpt=tiny_checkpoints["distilhubert"])
    model = build(Config(upstream=upstream, peft=PeftConfig("full+weighted_sum")), TOKENS)
    assert model.encoder.readout.weights.shape == (7,)
    assert not any(p.requires_grad for name, p in model.named_parameters() if "predictors" in name)


@pytest.mark.parametrize("samples", [560, 600])
def test_decoar2_needs_two_frames_to_normalise(samples, tiny_checkpoints):
    encoder = load(tiny_checkpoints["decoar2"])
    features, frames = encoder(*random_wavs([samples]))
    assert frames.item() == encoder.geometry.num_frames(samples) == 1 and features.isfinite().all()
    with pytest.raises(Exception, match="559 samples is too short for this upstream, which needs 560"):
        encoder(*random_wavs([559]))
    assert encoder.geometry.num_frames(559) == 0


def test_silence_is_finite(tiny_checkpoints):
    features, _ = load(tiny_checkpoints["decoar2"])(torch.zeros(1, 8000), torch.tensor([8000]))
    assert features.isfinite().all()
