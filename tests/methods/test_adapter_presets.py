"""The presets of adapters and their combinations: published counts, contract, one method a site."""

import pytest

from peft_asr import peft
from peft_asr.config import PeftConfig, UpstreamConfig
from peft_asr.errors import UserError
from peft_asr.peft import presets, resolve
from peft_asr.upstream import load_upstream, named_geometry
from peft_asr.upstream.skeleton import build_skeleton
from tests.contract import checks
from tests.contract.cases import Case

# preset -> trainable parameters on a base model (12 layers, D = 768)
COUNTS = {
    "houlsby": 599_424,
    "houlsby_thomas2022": 9_461_760 + 36_864,  # the published number leaves the norms out
    "houlsby_otake2023": 9_535_488,
    "e_adapter": 4_786_176,
    "el": 9_127_436,
    "elp": 9_127_436 + 7_680,
    "pfeiffer_seq": 248_976,
    "pfeiffer_par": 248_976,
    "pfeiffer_ffn_after": 248_976,
    "pfeiffer_ffn_seq_before": 248_976,
    "pfeiffer_ffn_par_before": 248_976,
    "pfeiffer_attn_after": 248_976,
    "pfeiffer_attn_seq_before": 248_976,
    "pfeiffer_attn_par_before": 248_976,
    "pfeiffer_seq_residual": 248_976,
    "pfeiffer_seq_no_residual": 248_976,
    "pfeiffer_par_no_residual": 248_976,
    "pfeiffer_par_residual": 248_976,
    "pfeiffer_seq_x2": 470_304,
    "pfeiffer_par_x2": 470_304,
    "houlsby_seq": 497_952,
    "houlsby_par": 497_952,
    "houlsby_mixed": 497_952,
    "hydra": 479_520,
    "convpass_pf_seq": 254_304,
    "convpass_pf_par": 254_304,
    "convpass_hou_seq": 508_608,
    "convpass_hou_par": 508_608,
    "adapter_lora": 470_160,
    "adapter_prompt": 479_376,
    "adapter_prompt_lora": 488_592,
}


@pytest.fixture(scope="module")
def base():
    return build_skeleton(named_geometry("hubert_base"))


def count(encoder, spec, **options):
    return sum(peft.count(encoder, resolve(PeftConfig(spec, options))).values())


@pytest.mark.parametrize(("preset", "expected"), COUNTS.items())
def test_count(preset, expected, base):
    assert count(base, preset) == expected


def test_parts_of_the_counts(base):
    assert count(base, "houlsby_thomas2022", houlsby_thomas2022={"norm": "none"}) == 9_461_760
    assert count(base, "e_adapter", e_adapter={"train_layernorm": "none"}) == 12 * 395_776
    assert peft.count(base, resolve(PeftConfig("el"))) == {
        "e_adapter": 4_353_536 + 36_864,
        "l_adapter": 4_737_036,
    }


def test_every_preset_that_uses_an_adapter_is_here():
    mine = {"bottleneck", "adapterbias", "l_adapter"}
    using = {name for name in presets() if mine & {m.name for m in resolve(PeftConfig(name))}}
    assert using == set(COUNTS)


def test_where_the_presets_stand():
    def sites(preset):
        return resolve(PeftConfig(preset))[0].options.sites

    assert sites("pfeiffer_seq") == sites("pfeiffer_ffn_after") == ["ffn_after"]
    assert sites("pfeiffer_par") == sites("pfeiffer_attn_par_before") == ["attn_parallel"]
    assert sites("pfeiffer_ffn_seq_before") == ["ffn_before"]
    assert sites("pfeiffer_ffn_par_before") == ["ffn_parallel"]
    assert sites("pfeiffer_attn_after") == ["attn_after"]
    assert sites("pfeiffer_attn_seq_before") == ["attn_before"]
    assert sites("houlsby_mixed") == ["attn_parallel", "ffn_after"]
    assert sites("hydra") == ["ffn_parallel", "ffn_after"]


@pytest.mark.parametrize(("preset", "scale"), [("adapter_lora", 8 / 128), ("adapter_prompt_lora", 8 / 256)])
def test_scale_of_lora_beside_adapters(preset, scale):
    lora = resolve(PeftConfig(preset))[-1].options
    assert lora.alpha / lora.rank == scale


@pytest.mark.parametrize("preset", [p for p in COUNTS if p not in ("el", "elp")])
def test_each_preset_starts_and_trains_as_it_says(preset, tiny_checkpoints):
    family = ("hubert", "hubert_large")[list(COUNTS).index(preset) % 2]
    checks.check_identity_at_start(Case(preset, family), tiny_checkpoints[family])
    checks.check_gradients(Case(preset, family), tiny_checkpoints[family])


@pytest.mark.parametrize("spec", ["convpass_hou_par", "hydra", "e_adapter+l_adapter", "adapter_prompt_lora"])
def test_no_preset_sees_padding(spec, tiny_checkpoint):
    checks.check_padding(Case(spec, "hubert"), tiny_checkpoint)


@pytest.mark.parametrize("family", ["hubert", "hubert_large"])
@pytest.mark.parametrize("spec", ["el", "elp", "adapterbias+l_adapter", "houlsby_seq+lora"])
def test_contract_of_combinations(spec, family, tiny_checkpoints):
    for check in (
        checks.check_gradients, checks.check_pretrained_untouched, checks.check_count, checks.check_boundary,
        checks.check_modes,
    ):  # fmt: skip
        check(Case(spec, family), tiny_checkpoints[family])


def test_el_trains_each_group_under_its_own_name(tiny_checkpoint):
    encoder = load_upstream(UpstreamConfig(name="hubert", ckpt=tiny_checkpoint))
    injected = peft.inject(encoder, resolve(PeftConfig("el")))
    by_label = {}
    for name, label in injected.labels.items():
        by_label.setdefault(label, set()).add(".".join(name.split(".")[:3]))
    assert by_label == {
        "e_adapter": {"layers.0.sites", "layers.1.sites"},
        "e_adapter.norm": {f"layers.{i}.{s}_norm" for i in range(3) for s in ("attn", "ffn")},
        "l_adapter": {"readout.weights", *(f"readout.adapters.{i}" for i in range(3))},
    }


@pytest.mark.parametrize(
    ("spec", "site"),
    [
        ("houlsby+adapterbias", "layers.0.ffn_after"),
        ("pfeiffer_seq+e_adapter", "layers.0.ffn_after"),
        ("pfeiffer_attn_par_before+pfeiffer_attn_after", "layers.0.attn_norm"),
        ("el+l_adapter2", "readout"),
    ],
)
def test_two_methods_at_one_site(spec, site, base):
    options = {"l_adapter2": {"method": "l_adapter"}} if "l_adapter2" in spec else {}
    first, second = spec.replace("el+", "l_adapter+").split("+")
    with pytest.raises(UserError) as caught:
        count(base, spec, **options)
    assert str(caught.value) == (
        f"'{first}' and '{second}' both occupy {site}; methods joined by '+' need different sites"
    )
