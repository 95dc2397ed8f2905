"""The positional convolution under bfloat16 autocast on the CPU."""

import pytest
import torch
from torch import nn

from peft_asr.config import UpstreamConfig
from peft_asr.upstream import load_upstream
from peft_asr.upstream.position import PositionalStage
from tests.tiny import random_wavs


@pytest.mark.parametrize("family", ["hubert", "xls_r", "data2vec", "wavlm", "decoar2", "hf_mhubert"])
def test_state_0_in_bfloat16_is_that_in_float32(family, tiny_checkpoints):
    """Eight channels a group in every tiny model: fewer than oneDNN's bfloat16 kernel computes rightly with AMX."""
    path = tiny_checkpoints[family]
    name, ckpt = (f"hf:{path}", None) if family.startswith("hf_") else (family, path)
    encoder = load_upstream(UpstreamConfig(name=name, ckpt=ckpt))
    wavs, lengths = random_wavs([9000, 5000])
    exact, frames = encoder.hidden_states(wavs, lengths)
    with torch.autocast("cpu", torch.bfloat16):
        rough, _ = encoder.hidden_states(wavs, lengths)
    for i, n in enumerate(frames.tolist()):
        ours, expected = rough[0][i, :n].float(), exact[0][i, :n]
        assert (ours - expected).norm() < 0.05 * expected.norm()
    assert not torch.equal(rough[-1].float(), exact[-1]), "autocast did nothing"


@pytest.mark.parametrize(("groups", "dtype"), [(4, torch.bfloat16), (8, torch.float32)])
def test_only_narrow_groups_leave_autocast(groups, dtype):
    """64 channels: 16 a group stay in bfloat16, as published models have them; 8 do not."""
    conv, seen = nn.Conv1d(64, 64, 15, padding=7, groups=groups), []
    conv.register_forward_hook(lambda module, inputs, output: seen.append(output.dtype))
    stage, x = PositionalStage(nn.Sequential(conv, nn.GELU()), None), torch.randn(2, 20, 64)
    with torch.autocast("cpu", torch.bfloat16):
        stage(x)
    assert seen == [dtype]
    stage(x)
    assert seen[-1] == torch.float32
