"""BitFit and layer norms: which parameters train, where training begins, what they do not go with."""

import pytest
from torch import nn

from peft_asr.config import PeftConfig, UpstreamConfig
from peft_asr.errors import UserError
from peft_asr.peft import count, inject, resolve
from peft_asr.upstream import Encoder, load_upstream
from peft_asr.upstream.boundary import AUDIO
from tests.contract.cases import Case


def encoder_with(spec: str, checkpoint: str, options: dict | None = None) -> Encoder:
    encoder = load_upstream(UpstreamConfig(name="tiny", ckpt=checkpoint))
    inject(encoder, resolve(PeftConfig(spec, options or {})))
    return encoder


def trained(encoder: Encoder) -> set[str]:
    return {name for name, parameter in encoder.named_parameters() if parameter.requires_grad}


MAPS_AND_NORMS = ("q", "k", "v", "o", "fc1", "fc2", "attn_norm", "ffn_norm")


@pytest.mark.parametrize("family", ["hubert", "hubert_large"])
def test_bitfit_trains_the_biases_of_the_layers(family, tiny_checkpoints):
    encoder = encoder_with("bitfit", tiny_checkpoints[family])
    assert trained(encoder) == {f"layers.{i}.{module}.bias" for i in range(3) for module in MAPS_AND_NORMS}
    assert encoder.boundary == 0


def test_wavlms_gates_have_biases(tiny_checkpoints):
    encoder = encoder_with("bitfit", tiny_checkpoints["wavlm"], {"bitfit": {"layers": [2]}})
    gates = {name for name in trained(encoder) if ".gate." in name}
    assert len(gates) == 1 and encoder.get_parameter(gates.pop()).shape == (8,)
    assert len(trained(encoder)) == 9 and encoder.boundary == 2


@pytest.mark.parametrize("family", ["hubert", "hubert_large"])
def test_all_biases(family, tiny_checkpoints):
    encoder = encoder_with("bitfit_all", tiny_checkpoints[family])
    modules = dict(encoder.named_modules())
    expected = {
        f"{name}.bias" for name, m in modules.items() if isinstance(getattr(m, "bias", None), nn.Parameter)
    }
    assert trained(encoder) == expected
    assert {n.partition(".")[0] for n in expected} >= {"frontend", "projection", "position", "layers"}
    assert ("final_norm.bias" in expected) == (family == "hubert_large")
    assert encoder.boundary == AUDIO


def test_an_upstream_without_layers_trains_all_its_biases(tiny_checkpoint):
    encoder = load_upstream(UpstreamConfig(name="tiny", ckpt=tiny_checkpoint))
    encoder.layers = nn.ModuleList()
    inject(encoder, resolve(PeftConfig("bitfit")))
    assert trained(encoder) and all(name.endswith(".bias") for name in trained(encoder))
    assert any(name.startswith("frontend.") for name in trained(encoder)) and encoder.boundary == AUDIO
    for module in encoder.modules():
        if getattr(module, "bias", None) is not None:
            module.bias = None
    with pytest.raises(UserError, match="bitfit trains biases, and the upstream hubert has none"):
        inject(encoder, resolve(PeftConfig("bitfit")))


def test_biases_of_other_methods_are_not_the_upstreams(tiny_checkpoint):
    encoder = encoder_with("p_adapter_nonlinear+l_adapter+bitfit_all", tiny_checkpoint)
    alone = encoder_with("bitfit_all", tiny_checkpoint)
    own = {name for name in trained(encoder) if not name.startswith(("sequence.", "readout."))}
    assert own == trained(alone)
    method = resolve(PeftConfig("bitfit_all"))[0]
    assert set(method.declare(encoder)) == own


@pytest.mark.parametrize(
    ("family", "options", "expected", "boundary"),
    [
        ("hubert", {}, {f"layers.{i}.{s}_norm" for i in range(3) for s in ("attn", "ffn")}, 0),
        ("hubert", {"layers": [1]}, {"layers.1.attn_norm", "layers.1.ffn_norm"}, 1),
        (
            "hubert_large",
            {"layers": [2], "final": True},
            {"layers.2.attn_norm", "layers.2.ffn_norm", "final_norm"},
            2,
        ),
    ],
)
def test_layernorm_trains_the_norms(family, options, expected, boundary, tiny_checkpoints):
    encoder = encoder_with("layernorm", tiny_checkpoints[family], {"layernorm": options})
    assert trained(encoder) == {f"{norm}.{p}" for norm in expected for p in ("weight", "bias")}
    assert encoder.boundary == boundary


def test_they_go_with_lora_where_it_is_not(tiny_checkpoint):
    encoder = encoder_with("lora+layernorm", tiny_checkpoint)
    assert sum("norm" in name for name in trained(encoder)) == 12
    for spec in ("lora+bitfit", "bitfit+lora"):
        with pytest.raises(UserError, match=r"both occupy layers.0.q; methods joined by '\+'"):
            encoder_with(spec, tiny_checkpoint)
    with pytest.raises(UserError, match="'bitfit' and 'layernorm' both occupy layers.0.attn_norm"):
        encoder_with("bitfit+layernorm", tiny_checkpoint)
    elsewhere = {"lora": {"layers": [0]}, "bitfit": {"layers": [1, 2]}}
    assert len(trained(encoder_with("lora+bitfit", tiny_checkpoint, elsewhere))) == 4 + 16


def test_they_dissolve_and_are_no_backbone(tiny_checkpoint):
    for spec in ("bitfit", "layernorm"):
        model = Case(spec, "hubert").build(tiny_checkpoint)
        assert all(method.unmergeable() is None for method in model.injected.methods)
        groups = model.parameter_groups()
        assert groups["method"] and not groups["backbone"]


@pytest.mark.parametrize(
    ("spec", "options", "message"),
    [
        ("bitfit", {"which": "al"}, r"bitfit.which takes layers or all; got 'al' \(did you mean 'all'\?\)"),
        ("bitfit", {"layers": "top:9"}, "with N from 1 to 3"),
        ("bitfit", {"which": "all", "layers": [0]}, r"so bitfit.layers must be all; got \[0\]"),
        ("layernorm", {"layers": []}, "layernorm.layers takes"),
        ("layernorm", {"final": True}, "final=true needs a norm after the last layer"),
    ],
)
def test_bad_options(spec, options, message, tiny_checkpoint):
    with pytest.raises(UserError, match=message) as caught:
        encoder_with(spec, tiny_checkpoint, {spec: options})
    assert "\n" not in str(caught.value)


def test_count_agrees_before_and_after_injection(tiny_checkpoint):
    encoder = load_upstream(UpstreamConfig(name="tiny", ckpt=tiny_checkpoint))
    methods = resolve(PeftConfig("bitfit_all"))
    before = count(encoder, methods)["bitfit_all"]
    inject(encoder, methods)
    assert before == sum(p.numel() for p in encoder.parameters() if p.requires_grad)
