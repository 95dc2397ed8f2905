"""P-adapters: the same as each utterance alone with the vectors beside its features, by hand; bad options."""

import dataclasses

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from peft_asr.config import PeftConfig, UpstreamConfig
from peft_asr.errors import UserError
from peft_asr.peft import inject, resolve
from peft_asr.upstream import Encoder, load_upstream
from tests.tiny import random_wavs


def adapted(checkpoint: str, options: dict) -> Encoder:
    encoder = load_upstream(UpstreamConfig(name="tiny", ckpt=checkpoint))
    inject(encoder, resolve(PeftConfig("p_adapter", {"p_adapter": options})))
    nn.init.normal_(encoder.sequence.vectors)
    return encoder


def by_hand(encoder: Encoder, wav: Tensor, vectors: Tensor, where: str) -> list[Tensor]:
    """States (T, D) of one utterance (1, N), from the modules of the upstream."""
    if encoder.geometry.normalize:
        wav = F.layer_norm(wav, wav.shape[1:])
    x = encoder.projection(encoder.frontend(wav, torch.tensor([wav.shape[1]])))[0]
    frames, m = len(x), len(vectors)
    x = torch.cat([vectors, x] if where == "prefix" else [x, vectors])[None]
    inside = slice(m, m + frames) if where == "prefix" else slice(0, frames)
    x = encoder.position(x)
    bias = None if encoder.relative is None else encoder.relative(frames + m, x.device)
    states = [x[0, inside]]
    for layer in encoder.layers:
        x = layer(x, None, bias)
        states.append(x[0, inside])
    if encoder.final_norm is not None:
        states[-1] = encoder.final_norm(states[-1])
    return states


@pytest.mark.parametrize("family", ["hubert", "hubert_large", "data2vec", "wavlm"])
@pytest.mark.parametrize("where", ["prefix", "suffix"])
@pytest.mark.parametrize("nonlinear", [False, True])
def test_vectors_stand_beside_each_utterances_own_features(family, where, nonlinear, tiny_checkpoints):
    options = {"length": 3, "where": where, "nonlinear": nonlinear, "hidden": 6}
    encoder = adapted(tiny_checkpoints[family], options)
    wavs, lengths = random_wavs([5000, 9000, 1600])
    with torch.no_grad():
        vectors = encoder.sequence.vectors
        if nonlinear:
            down, _, up = encoder.sequence.mlp
            hidden = F.gelu(vectors @ down.weight.T + down.bias)
            vectors = hidden @ up.weight.T + up.bias
        states, frames = encoder.hidden_states(wavs, lengths)
        features, _ = encoder(wavs, lengths)
        for b, n in enumerate(lengths.tolist()):
            expected = by_hand(encoder, wavs[b : b + 1, :n], vectors, where)
            assert len(expected[0]) == frames[b]
            for ours, theirs in zip([*states, features], [*expected, expected[-1]], strict=True):
                assert ours.shape[1] == int(frames.max()), "the vectors are no frames"
                torch.testing.assert_close(ours[b, : frames[b]], theirs, atol=2e-5, rtol=0)


def test_a_prompt_and_a_suffix_together_leave_the_frames(tiny_checkpoint):
    encoder = load_upstream(UpstreamConfig(name="tiny", ckpt=tiny_checkpoint))
    inject(encoder, resolve(PeftConfig("p_adapter_suffix+prompt_shallow+prefix")))
    wavs, lengths = random_wavs([9000, 1600])
    with torch.no_grad():
        together, frames = encoder(wavs, lengths)
        alone, _ = encoder(wavs[1:, :1600], lengths[1:])
    assert frames.tolist() == [27, 4] and together.shape[1] == 27
    torch.testing.assert_close(together[1, :4], alone[0], atol=2e-5, rtol=0)


def test_a_fixed_number_of_positions_is_refused(tiny_checkpoint):
    encoder = load_upstream(UpstreamConfig(name="tiny", ckpt=tiny_checkpoint))
    encoder.geometry = dataclasses.replace(encoder.geometry, window_samples=163840)
    with pytest.raises(UserError, match="the upstream hubert has a fixed number of positions; allowed"):
        inject(encoder, resolve(PeftConfig("p_adapter")))


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"length": 0}, "p_adapter.length must be 1 or more; got 0"),
        ({"hidden": 0}, "p_adapter.hidden must be 1 or more; got 0"),
        ({"where": "sufix"}, r"where takes prefix or suffix; got 'sufix' \(did you mean 'suffix'\?\)"),
        ({"nonlinear": "maybe"}, "p_adapter: .*maybe"),
        ({"layers": [0]}, "unknown option 'layers'"),
    ],
)
def test_bad_options(options, message, tiny_checkpoint):
    with pytest.raises(UserError, match=message) as caught:
        adapted(tiny_checkpoint, options)
    assert "\n" not in str(caught.value)
