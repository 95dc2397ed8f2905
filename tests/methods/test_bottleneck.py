"""``bottleneck``: every form against its formula written out, where it starts, what it trains, what it refuses."""

import pytest
import torch
import torch.nn.functional as F

from peft_asr import peft
from peft_asr.config import PeftConfig, UpstreamConfig
from peft_asr.errors import UserError
from peft_asr.peft.bottleneck import SITES
from peft_asr.peft.bottleneck_module import BottleneckAdapter
from peft_asr.upstream import load_upstream
from tests.contract import checks
from tests.contract.cases import Case

D, SIZE = 32, 6

ALL_CHECKS = (
    checks.check_identity_at_start, checks.check_gradients, checks.check_pretrained_untouched, checks.check_count,
    checks.check_merge, checks.check_boundary, checks.check_padding, checks.check_modes,
)  # fmt: skip


def methods(**options):
    options = {"size": SIZE, **options}
    return peft.resolve(PeftConfig("bottleneck", {"bottleneck": options}))


def adapted(checkpoint, family="hubert", **options):
    """An encoder with adapters whose every weight is random."""
    encoder = load_upstream(UpstreamConfig(name=family, ckpt=checkpoint))
    torch.manual_seed(0)
    peft.inject(encoder, methods(**{"init": "torch", **options}))
    return encoder


def random_batch(batch=2, frames=9, dim=D):
    return torch.randn(batch, frames, dim, generator=torch.Generator().manual_seed(1))


# --- the module, against formulas written out


def module(**options):
    torch.manual_seed(0)
    adapter = BottleneckAdapter(D, SIZE, init="torch", **options)
    if adapter.norm is not None:  # off their trivial starting values, so that leaving one out shows
        torch.nn.init.normal_(adapter.norm.weight)
        torch.nn.init.normal_(adapter.norm.bias)
    return adapter.eval()


FORMULAS = {
    "gelu": (lambda x: F.gelu(x), {}),
    "relu": (lambda x: x.clamp(min=0), {"activation": "relu"}),
    "swish": (lambda x: x * torch.sigmoid(x), {"activation": "swish"}),
    "silu": (lambda x: x * torch.sigmoid(x), {"activation": "silu"}),
    "tanh": (lambda x: torch.tanh(x), {"activation": "tanh"}),
    "quick_gelu": (lambda x: x / (1 + torch.exp(-1.702 * x)), {"activation": "quick_gelu"}),
}


@pytest.mark.parametrize("name", FORMULAS)
@torch.no_grad()
def test_plain_form(name):
    activation, options = FORMULAS[name]
    a, x = module(**options), random_batch()
    product = activation(x @ a.down.weight.T + a.down.bias) @ a.up.weight.T + a.up.bias
    torch.testing.assert_close(a(x, None), x + product)
    torch.testing.assert_close(module(residual=False, **options)(x, None), product)


@torch.no_grad()
def test_norms_and_scale():
    x = random_batch()
    a = module(norm="pre", scale=0.5)
    h = F.layer_norm(x, (D,), a.norm.weight, a.norm.bias)
    expected = x + 0.5 * F.linear(F.gelu(F.linear(h, a.down.weight, a.down.bias)), a.up.weight, a.up.bias)
    torch.testing.assert_close(a(x, None), expected)
    a = module(norm="post", scale=3.0, learned_scale=True)
    y = F.linear(F.gelu(F.linear(x, a.down.weight, a.down.bias)), a.up.weight, a.up.bias)
    a.scale.fill_(-2.0)
    torch.testing.assert_close(a(x, None), x - 2.0 * F.layer_norm(y, (D,), a.norm.weight, a.norm.bias))


@torch.no_grad()
def test_convpass_is_a_convolution_over_time_inside_the_bottleneck():
    a, x = module(kernel_frames=3, residual=False), random_batch()
    h = F.gelu(F.linear(x, a.down.weight, a.down.bias))
    before, after = torch.zeros_like(h), torch.zeros_like(h)
    before[:, 1:], after[:, :-1] = h[:, :-1], h[:, 1:]
    left, middle, right = a.conv.weight.unbind(dim=-1)
    mixed = before @ left.T + h @ middle.T + after @ right.T + a.conv.bias
    torch.testing.assert_close(a(x, None), F.linear(F.gelu(mixed), a.up.weight, a.up.bias))


@torch.no_grad()
def test_convpass_does_not_see_padding():
    a, x = module(kernel_frames=5), random_batch()
    padding = torch.arange(9)[None, :] >= torch.tensor([9, 6])[:, None]
    together = a(x, padding)
    torch.testing.assert_close(together[0], a(x[:1], None)[0])
    torch.testing.assert_close(together[1, :6], a(x[1:, :6], None)[0])
    assert not torch.allclose(a(x, None)[1, :6], together[1, :6]), "the padding had no effect to begin with"


def test_dropout_acts_on_the_bottleneck_in_training_only():
    a, x = module(dropout=0.5), random_batch()
    torch.testing.assert_close(a(x, None), a(x, None), rtol=0, atol=0)
    a.train()
    torch.manual_seed(3)
    got = a(x, None)
    torch.manual_seed(3)
    h = F.dropout(F.gelu(F.linear(x, a.down.weight, a.down.bias)), 0.5, True)
    torch.testing.assert_close(got, x + F.linear(h, a.up.weight, a.up.bias))


@pytest.mark.parametrize("kernel_frames", [None, 3])
def test_starting_values(kernel_frames):
    torch.manual_seed(0)
    near = BottleneckAdapter(768, 64, kernel_frames=kernel_frames, init="near_identity")
    assert not near.up.weight.any() and not near.up.bias.any()
    assert near.down.weight.std() > 1e-2
    normal = BottleneckAdapter(768, 64, kernel_frames=kernel_frames, init="normal")
    for each in (normal.down, normal.up) if kernel_frames is None else (normal.down, normal.conv, normal.up):
        assert each.weight.std().item() == pytest.approx(1e-3, rel=0.05) and not each.bias.any()


# --- the wiring: one layer with one adapter, by hand


def attention_by_hand(layer, h):
    weights = torch.cat([layer.q.weight, layer.k.weight, layer.v.weight])
    biases = torch.cat([layer.q.bias, layer.k.bias, layer.v.bias])
    h = h.transpose(0, 1)
    y, _ = F.multi_head_attention_forward(
        h, h, h, D, layer.heads, weights, biases, None, None, False, 0.0, layer.o.weight, layer.o.bias, False
    )
    return y.transpose(0, 1)


def ffn_by_hand(layer, h):
    hidden = F.gelu(F.linear(h, layer.fc1.weight, layer.fc1.bias))
    return F.linear(hidden, layer.fc2.weight, layer.fc2.bias)


def sublayer_by_hand(function, norm, pre_ln, x, f, where):
    """One sub-layer with ``f``, the product of an adapter without its skip connection, at ``where`` (or nowhere)."""
    h = norm(x) if pre_ln else x
    if where == "before":
        y = function(h + f(h))
    elif where == "after":
        y = function(h) + f(function(h))
    elif where == "parallel":
        y = function(h) + f(x)
    else:
        y = function(h)
    return x + y if pre_ln else norm(x + y)


@pytest.mark.parametrize("family", ["hubert", "hubert_large"])
@pytest.mark.parametrize("site", SITES)
@torch.no_grad()
def test_each_site_in_a_layer(site, family, tiny_checkpoints):
    encoder = adapted(tiny_checkpoints[family], family, sites=[site], layers=[1])
    layer, x = encoder.layers[1], random_batch()
    a = layer.sites[site]

    def product(h):
        return F.linear(F.gelu(F.linear(h, a.down.weight, a.down.bias)), a.up.weight, a.up.bias)

    assert layer.pre_ln == (family == "hubert_large")
    place, _, where = site.partition("_")
    at = {place: where}
    expected = x
    for name, function in (("attn", attention_by_hand), ("ffn", ffn_by_hand)):
        norm = getattr(layer, f"{name}_norm")
        expected = sublayer_by_hand(
            lambda h, f=function: f(layer, h), norm, layer.pre_ln, expected, product, at.get(name)
        )
    torch.testing.assert_close(layer(x, None), expected, atol=1e-5, rtol=1e-5)
    assert not layer.sites.keys() ^ {site} and not encoder.layers[0].sites


@pytest.mark.parametrize("site", ["ffn_after", "ffn_parallel"])
@torch.no_grad()
def test_the_inner_skip_connection_can_be_turned(site, tiny_checkpoint):
    """Table VII of PETL-AST: the sequential adapter without, the parallel one with an inner skip connection."""
    usual = site == "ffn_after"
    encoder = adapted(tiny_checkpoint, sites=[site], layers=[0], residual=not usual)
    layer, x = encoder.layers[0], random_batch()
    a = layer.sites[site]

    def product(h):
        return F.linear(F.gelu(F.linear(h, a.down.weight, a.down.bias)), a.up.weight, a.up.bias)

    x1 = layer.attn_norm(x + attention_by_hand(layer, x))
    y = ffn_by_hand(layer, x1)
    y = product(y) if usual else y + x1 + product(x1)
    torch.testing.assert_close(layer(x, None), layer.ffn_norm(x1 + y), atol=1e-5, rtol=1e-5)


# --- what trains


def test_size_or_reduction(tiny_checkpoint):
    encoder = load_upstream(UpstreamConfig(name="hubert", ckpt=tiny_checkpoint))
    for options, size in (
        ({"size": 5}, 5),
        ({"size": None, "reduction": 8}, 4),
        ({"size": None, "reduction": 64}, 1),
    ):
        (method,) = methods(**options)
        assert method.declare(encoder)["layers.2.sites.ffn_after.down.weight"] == (size, D)


@pytest.mark.parametrize(
    ("which", "layers", "norms"),
    [
        ("none", [1, 2], set()),
        ("sublayer", [1, 2], {"layers.1.ffn_norm", "layers.2.ffn_norm"}),
        ("layer", [2], {"layers.2.attn_norm", "layers.2.ffn_norm"}),
        ("all", [2], {f"layers.{i}.{s}_norm" for i in range(3) for s in ("attn", "ffn")}),
    ],
)
def test_which_pretrained_norms_train(which, layers, norms, tiny_checkpoint):
    encoder = load_upstream(UpstreamConfig(name="hubert", ckpt=tiny_checkpoint))
    (method,) = methods(train_layernorm=which, layers=layers)
    adapters = {f"layers.{i}.ffn_after" for i in layers}
    assert method.sites(encoder) == adapters | norms
    injected = peft.inject(encoder, [method])
    trains = {name for name, p in encoder.named_parameters() if p.requires_grad}
    assert {n for n in trains if ".sites." not in n} == {
        f"{n}.{p}" for n in norms for p in ("weight", "bias")
    }
    assert encoder.boundary == (0 if which == "all" else min(layers))
    for name, label in injected.labels.items():
        assert label == ("bottleneck" if ".sites." in name else "bottleneck.norm")


def test_the_norm_inside_an_adapter_has_the_adapters_learning_rate(tiny_checkpoint):
    encoder = load_upstream(UpstreamConfig(name="hubert", ckpt=tiny_checkpoint))
    injected = peft.inject(encoder, methods(norm="post"))
    assert injected.labels["layers.0.sites.ffn_after.norm.weight"] == "bottleneck"


@pytest.mark.parametrize(
    ("options", "identity"),
    [
        ({}, True),
        ({"sites": ["attn_parallel", "ffn_after"]}, True),
        ({"norm": "post"}, True),  # the norm of a zero vector is its bias, zero
        ({"init": "normal"}, False),
        ({"init": "torch"}, False),
        ({"residual": False}, False),
        ({"sites": ["ffn_parallel"], "residual": False}, True),
        ({"sites": ["ffn_parallel"], "residual": True}, False),
        ({"sites": ["attn_parallel", "ffn_after"], "residual": True}, False),
        ({"compat_petl_ast": True}, True),
    ],
)
def test_identity_at_the_start_is_stated_for_each_form(options, identity):
    (method,) = methods(**options)
    assert method.identity_at_start == identity


CONTRACT = [
    ("bottleneck", {"size": 4, "learned_scale": True, "norm": "pre", "dropout": 0.2, "layers": "top:2"}),
    ("bottleneck", {"size": 4, "sites": ["attn_before", "ffn_parallel"], "norm": "post", "scale": 0.5}),
    ("bottleneck", {"size": 4, "inner": "convpass", "kernel_frames": 5, "init": "torch", "train_layernorm": "all",
                    "layers": [1]}),
    ("bottleneck", {"size": 4, "sites": ["attn_after", "ffn_before"], "train_layernorm": "layer", "layers": [1, 2]}),
]  # fmt: skip


@pytest.mark.parametrize("family", ["hubert", "hubert_large"])
@pytest.mark.parametrize(("spec", "options"), CONTRACT, ids=str)
def test_contract(spec, options, family, tiny_checkpoints):
    for check in ALL_CHECKS:
        check(Case(spec, family, options), tiny_checkpoints[family])


# --- the faults of the public code, on request


@pytest.mark.parametrize("sites", [["attn_parallel"], ["ffn_after"]], ids=str)
def test_compat_bottleneck_trains_nothing_but_its_last_bias(sites, tiny_checkpoint):
    case = Case("bottleneck", "hubert", {"size": 4, "sites": sites, "compat_petl_ast": True})
    with pytest.raises(AssertionError, match="no gradient by the second step") as caught:
        checks.check_gradients(case, tiny_checkpoint)
    message = str(caught.value)
    assert all(f"{sites[0]}.{name}" in message for name in ("down.weight", "down.bias", "up.weight"))
    assert "up.bias" not in message


def test_compat_convpass_does_not_train_its_convolution(tiny_checkpoint):
    options = {"size": 4, "sites": ["ffn_after"], "inner": "convpass", "compat_petl_ast": True}
    with pytest.raises(AssertionError, match="no gradient by the second step") as caught:
        checks.check_gradients(Case("bottleneck", "hubert", options), tiny_checkpoint)
    message = str(caught.value)
    assert "conv.weight" in message and "conv.bias" in message
    assert "down.weight" not in message and "up.weight" not in message


# --- what is refused


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"reduction": 8}, "either size or reduction.*got size=6 and reduction=8"),
        ({"size": None}, "either size or reduction.*got size=None and reduction=None"),
        ({"size": 0}, "bottleneck.size must be 1 or more; got 0"),
        ({"size": None, "reduction": -2}, "bottleneck.reduction must be 1 or more; got -2"),
        ({"sites": ["ffn_afer"]}, "got 'ffn_afer' .did you mean 'ffn_after'"),
        ({"sites": []}, r"bottleneck.sites takes distinct names of .*; got \[\]"),
        ({"sites": ["ffn_after", "ffn_after"]}, "distinct"),
        ({"activation": "gelo"}, "bottleneck.activation must be one of .*got 'gelo' .did you mean 'gelu'"),
        ({"inner": "conv"}, "bottleneck.inner must be one of bottleneck, convpass; got 'conv'"),
        ({"norm": "both"}, "bottleneck.norm must be one of none, pre, post; got 'both'"),
        ({"init": "zero"}, "bottleneck.init must be one of"),
        ({"train_layernorm": True}, "bottleneck.train_layernorm must be one of none, sublayer, layer, all"),
        ({"kernel_frames": 4}, "bottleneck.kernel_frames must be odd and above 0; got 4"),
        ({"kernel_frames": -1}, "odd and above 0; got -1"),
        ({"dropout": 1.0}, r"bottleneck.dropout must lie in \[0, 1\); got 1.0"),
        ({"dropout": -0.1}, "dropout"),
        ({"scale": 0.0}, "bottleneck.scale must be finite and not 0; got 0.0"),
        ({"scale": float("inf")}, "scale"),
        ({"layers": "top:9"}, "bottleneck.layers takes .*got 'top:9'"),
        ({"compat_petl_ast": True, "init": "normal"}, "takes init=near_identity alone; got init=normal"),
        ({"size": "many"}, "options of --peft bottleneck"),
        ({"sitse": ["ffn_after"]}, "did you mean 'sites'"),
    ],
)
def test_bad_options(options, message, tiny_checkpoint):
    encoder = load_upstream(UpstreamConfig(name="hubert", ckpt=tiny_checkpoint))
    with pytest.raises(UserError, match=message):
        peft.inject(encoder, methods(**options))


def test_without_a_width_it_asks_for_one(tiny_checkpoint):
    with pytest.raises(UserError, match="either size or reduction"):
        Case("bottleneck", "hubert").build(tiny_checkpoint)
