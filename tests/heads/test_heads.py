"""What every head keeps: lengths, padding, batch mates, gradients; and the published sizes."""

import pytest
import torch

from peft_asr.config import HeadConfig
from peft_asr.errors import UserError
from peft_asr.heads import HEADS, build_head, resolve_head
from peft_asr.heads.stack import sinusoids

DIM, CLASSES = 10, 5
SMALL = {"hidden": 8, "attention_heads": 2, "feedforward": 16}
CONFIGS = [
    HeadConfig("linear"),
    HeadConfig("linear", projection=6),
    HeadConfig("blstm", projection=6, hidden=7),
    HeadConfig("blstm", projection=0, hidden=7, layers=1),
    HeadConfig("transformer", **SMALL),
    HeadConfig("transformer", kernel=5, layers=1, **SMALL),
    HeadConfig("transformer", kernel=1, **SMALL),
    HeadConfig("mlsuperb", projection=9, **SMALL),
    HeadConfig("pooled", projection=6),
    HeadConfig("pooled", projection=0),
    HeadConfig("transformer_pooled", **SMALL),
]
over_all = pytest.mark.parametrize("config", CONFIGS, ids=lambda c: f"{c.name}-{c.projection}-{c.kernel}")


def make(config: HeadConfig):
    torch.manual_seed(0)
    return build_head(config, DIM, CLASSES)


def test_every_head_is_here():
    assert {config.name for config in CONFIGS} == set(HEADS)


@over_all
def test_lengths(config):
    head = make(config).eval()
    expected = {
        "linear": lambda t: t,
        "blstm": lambda t: t,
        "transformer": lambda t: (t + 1) // 2,
        # Two convolutions without padding: (T - 3) // 2 + 1, then minus 2; at least one frame.
        "mlsuperb": lambda t: (max(t, 7) - 3) // 2 + 1 - 2,
    }.get(config.name, lambda t: 1)
    assert head.num_frames(0) == 0
    for t in range(1, 20):
        logits, frames = head(torch.randn(1, t, DIM), torch.tensor([t]))
        assert logits.shape == (1, expected(t), CLASSES)
        assert frames.tolist() == [head.num_frames(t)] == [expected(t)]


@over_all
def test_batch_mates_and_padding_change_nothing(config):
    head = make(config).eval()
    frames = torch.tensor([23, 9, 1, 6])
    x = torch.randn(4, 25, DIM)
    x[torch.arange(25)[None] >= frames[:, None]] = 1e4  # padding is not always zero
    with torch.no_grad():
        together, lengths = head(x, frames)
        for i, n in enumerate(frames.tolist()):
            alone, own = head(x[i : i + 1, :n], frames[i : i + 1])
            assert own.item() == lengths[i].item() == alone.shape[1]
            torch.testing.assert_close(together[i, : lengths[i]], alone[0], atol=1e-5, rtol=0)


@over_all
def test_gradients_are_finite_and_reach_everything(config):
    head = make(config).train()
    frames = torch.tensor([23, 9, 1])
    x = torch.randn(3, 23, DIM, requires_grad=True)
    logits, lengths = head(x, frames)
    real = torch.arange(logits.shape[1])[None] < lengths[:, None]
    torch.nn.functional.cross_entropy(logits[real], torch.arange(int(real.sum())) % CLASSES).backward()
    for name, parameter in head.named_parameters():
        assert parameter.grad.isfinite().all() and parameter.grad.abs().sum() > 0, name
    assert x.grad.isfinite().all()
    # Every utterance is seen to its end and no further. A kernel of 1 skips every other frame.
    for i, n in enumerate(frames.tolist()):
        seen = x.grad[i].abs().sum(dim=1)
        step = 2 if config.kernel == 1 else 1
        last = n if config.name != "mlsuperb" or n < 7 else 2 * ((n - 1) // 2) + 1
        assert (seen[:last:step] > 0).all() and (seen[n:] == 0).all()


@pytest.mark.parametrize("kernel", [1, 2, 3, 4])
def test_the_convolution_has_stride_2(kernel):
    head = make(HeadConfig("transformer", kernel=kernel, **SMALL)).eval()
    seen = []
    head.stack.forward = lambda x, frames: seen.append(x) or x
    x = torch.randn(1, 7, DIM)
    head(x, torch.tensor([7]))
    left = (kernel - 1) // 2
    padded = torch.cat([torch.zeros(left, DIM), x[0], torch.zeros(4, DIM)])
    for t in range(4):
        expected = (
            torch.einsum("oik,ki->o", head.conv.weight, padded[2 * t : 2 * t + kernel]) + head.conv.bias
        )
        torch.testing.assert_close(seen[0][0, t], expected)


def test_mlsuperb_is_the_two_convolutions_of_its_recipe():
    head = make(HeadConfig("mlsuperb", projection=9, **SMALL)).eval()
    seen = []
    head.stack.forward = lambda x, frames: seen.append(x) or x
    x = torch.randn(1, 12, DIM)
    head(x, torch.tensor([12]))
    image = head.projector(x)[:, None]
    (first, _, second, _) = head.convs
    image = torch.conv2d(image, first.weight, first.bias, stride=(2, 2)).relu()
    image = torch.conv2d(image, second.weight, second.bias).relu()  # (1, channels, time, features)
    for t in range(image.shape[2]):
        torch.testing.assert_close(seen[0][0, t], head.mix(image[0, :, t].reshape(-1)))
    assert seen[0].shape[1] == image.shape[2] == 3


def test_positions_are_the_sinusoids():
    table = sinusoids(50, 8)
    for t, i in ((0, 0), (1, 0), (7, 2), (49, 3)):
        angle = torch.tensor(t / 10000 ** (2 * i / 8))
        torch.testing.assert_close(table[t, 2 * i], angle.sin(), atol=1e-5, rtol=0)
        torch.testing.assert_close(table[t, 2 * i + 1], angle.cos(), atol=1e-5, rtol=0)
    # The stack knows the order: reversed in time, it is another sequence, not the same one reversed.
    head = make(HeadConfig("transformer", kernel=1, **SMALL)).eval()
    x, frames = torch.randn(1, 6, 8), torch.tensor([6])
    assert (head.stack(x.flip(1), frames).flip(1) - head.stack(x, frames)).abs().max() > 1e-2


def test_layers_do_not_start_alike():
    head = make(HeadConfig("transformer", **SMALL))
    first, second = (layer.linear1.weight for layer in head.stack.layers)
    assert not torch.equal(first, second)


def layer(width: int, feedforward: int) -> int:
    """Parameters of an encoder layer: q, k, v, o; feed-forward; two layer norms."""
    return 4 * (width**2 + width) + 2 * width * feedforward + feedforward + width + 4 * width


@pytest.mark.parametrize(
    ("config", "classes", "expected"),
    [
        # SUPERB's PR on a base model: 768 -> 256 -> 74.
        (HeadConfig("linear", projection=256), 74, 768 * 256 + 256 + 256 * 74 + 74),
        (HeadConfig("linear"), 32, 768 * 32 + 32),
        (HeadConfig("pooled"), 12, 768 * 256 + 256 + 256 * 12 + 12),
        (
            HeadConfig("transformer"),
            32,
            2 * 768 * 256 + 256 + 2 * layer(256, 1024) + 2 * 256 + 256 * 32 + 32,
        ),
        (
            HeadConfig("transformer", hidden=768),  # the width of the study's code
            32,
            2 * 768 * 768 + 768 + 2 * layer(768, 1024) + 2 * 768 + 768 * 32 + 32,
        ),
        (
            HeadConfig("mlsuperb"),
            32,
            (768 * 80 + 80)
            + (9 * 256 + 256 + 9 * 256 * 256 + 256 + 37 * 256 * 256 + 256)
            + (2 * layer(256, 1024) + 2 * 256 + 256 * 32 + 32),
        ),
    ],
)
def test_published_sizes(config, classes, expected):
    with torch.device("meta"):
        head = build_head(config, 768, classes)
    assert sum(p.numel() for p in head.parameters()) == expected


def test_own_sizes_are_spelled_out_once():
    config = resolve_head(HeadConfig("blstm", hidden=12))
    assert (config.projection, config.hidden, config.dropout) == (1024, 12, 0.2)
    assert resolve_head(config) == config
    assert resolve_head(HeadConfig("linear")).projection == 0
    assert resolve_head(HeadConfig("linear")).hidden is None


@pytest.mark.parametrize(
    ("config", "message"),
    [
        (
            HeadConfig("transfomer"),
            r"unknown head 'transfomer' \(did you mean 'transformer'\?\); allowed for",
        ),
        (
            HeadConfig("transformer", hidden=100),
            "^head.hidden=100 does not go with head.attention_heads=8; allowed: an even multiple of the number",
        ),
        (
            HeadConfig("mlsuperb", hidden=9, attention_heads=3),
            "head.hidden=9 does not go with head.attention_heads=3",
        ),
        (HeadConfig("mlsuperb", projection=6), "head.projection=6 is too narrow .* allowed: 7 or more"),
    ],
)
def test_refused(config, message):
    with pytest.raises(UserError, match=message):
        build_head(config, DIM, CLASSES)
