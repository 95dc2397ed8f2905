"""``peft:<tuner>``, ``ia3``, ``vera``: every type of the installed huggingface/peft works, or says why it cannot."""

import logging
import subprocess
import sys

import pytest
import torch
from torch import nn

from peft_asr import peft
from peft_asr.config import PeftConfig
from peft_asr.errors import UserError
from peft_asr.peft import tuner_probe
from peft_asr.peft.tuner import tuners
from peft_asr.peft.tuner_options import tuner_types
from peft_asr.tasks.adapter import save_adapter
from peft_asr.upstream import HUB
from peft_asr.upstream.skeleton import build_skeleton
from tests.contract import checks, training
from tests.contract.cases import TOKENS
from tests.methods.peft_cases import CLAUSES, PeftCase, check_all, check_restored, check_start
from tests.tiny import random_wavs

# Where the defaults are made for wider maps than 32.
SMALL = {
    "c3a": {"block_size": 16},
    "fourierft": {"n_frequency": 16},
    "miss": {"r": 8},
    "road": {"group_size": 16},
    "shira": {"r": 2},
    "vblora": {"vector_length": 16},
    "waveft": {"n_frequency": 100},
}


@pytest.fixture(scope="module")
def found() -> dict[str, str | None]:
    """Tuner -> why it is refused, or None."""
    return tuners()


@pytest.mark.parametrize("tuner", sorted(tuner_types()))
def test_every_tuner_keeps_the_contract_or_says_why_it_is_refused(tuner, found, tiny_checkpoints):
    case = PeftCase(f"peft:{tuner}", "hubert", SMALL.get(tuner, {}))
    if found[tuner] is not None:
        with pytest.raises(UserError, match=f"^peft:{tuner} cannot be used: [^\n]+$"):
            case.build(tiny_checkpoints["hubert"])
        return
    for check in (check_start, *CLAUSES, check_restored, training.check_deepcopy):
        check(case, tiny_checkpoints["hubert"])
    large = PeftCase(case.spec, "hubert_large", {**case.options, "layers": "top:2", "targets": ["k", "fc1"]})
    checks.check_merge(large, tiny_checkpoints["hubert_large"])


def test_those_on_linear_maps_are_found(found):
    usable = {tuner for tuner, refused in found.items() if refused is None}
    assert usable >= {"loha", "lokr", "oft", "boft", "hra", "road", "randlora", "miss", "fourierft", "pvera"}
    assert "--peft lora" in found["lora"] and "--peft vera" in found["vera"]
    for prompt_like in ("prefix_tuning", "prompt_tuning", "p_tuning", "cpt", "xlora"):
        assert found[prompt_like] == "it is not put on linear maps"
    assert "other frames" in found["lily"], "its router averages over the sequence, padding included"


def test_what_does_not_start_at_the_identity_is_found():
    assert not tuner_probe.probe("c3a", {}).identity and not tuner_probe.probe("fourierft", {}).identity
    assert (
        tuner_probe.probe("loha", {}).identity
        and not tuner_probe.probe("loha", {"init_weights": False}).identity
    )


def test_noise_in_training_is_found():
    """PVeRA draws from a distribution that it learns; others have dropouts of their own kind."""
    assert tuner_probe.probe("pvera", {}).noisy and tuner_probe.probe("loha", {"module_dropout": 0.5}).noisy
    assert not tuner_probe.probe("loha", {}).noisy and not tuner_probe.probe("oft", {}).noisy


def test_a_tuner_that_rewrites_weights_is_refused():
    findings = tuner_probe.probe("lora", {"init_lora_weights": "pissa"})
    assert findings.refused == "with these options it rewrites the pre-trained weights"


@pytest.fixture
def found_anew():
    """What is found in this test is not what other tests find."""
    tuner_probe._probe.cache_clear()
    yield
    tuner_probe._probe.cache_clear()


def test_a_tuner_that_cannot_merge_stays(tiny_checkpoint, monkeypatch, found_anew):
    from peft.tuners.loha.layer import LoHaLayer

    def refuse(self, *args, **kwargs):
        raise NotImplementedError("no merging here.")

    monkeypatch.setattr(LoHaLayer, "merge", refuse)
    model = PeftCase("peft:loha", "hubert").build(tiny_checkpoint)
    assert model.injected.methods[0].unmergeable() == "peft cannot merge it: no merging here"
    wavs, lengths = random_wavs([6000])
    with torch.no_grad():
        before = model(wavs, lengths)[0]
        model.merge()
        assert torch.equal(model(wavs, lengths)[0], before)


def test_what_peft_adjusts_is_said(tiny_checkpoint, caplog):
    with caplog.at_level(logging.WARNING, "peft_asr"):
        PeftCase("peft:oft", "hubert", {"r": 3, "oft_block_size": 0}).build(tiny_checkpoint)
    assert "peft:oft: Invalid `r` (3)! Adjusted `r` to (2)." in caplog.text


BAD = [
    (
        "peft:lohaa",
        {},
        r"no tuner 'lohaa' \(did you mean 'loha'\?\); --peft peft:TUNER knows .*boft, c3a, deft,",
    ),
    ("peft:lora", {}, r"peft:lora cannot be used: it is a method of its own: --peft lora"),
    (
        "peft:loha",
        {"rr": 4},
        r"unknown option 'rr' in the options of --peft peft_loha \(did you mean 'r'\?\)",
    ),
    ("peft:loha", {"target_modules": ["q"]}, r"unknown option 'target_modules'"),
    ("peft:loha", {"r": "many"}, r"options of --peft peft_loha: Value 'many' of type 'str'"),
    ("peft:loha", {"r": 0}, r"^peft_loha.r must lie between 1 and 32 \(the width of the map\); got 0$"),
    ("peft:loha", {"r": -1}, r"^peft_loha.r must lie between 1 and 32 \(the width of the map\); got -1$"),
    ("peft:loha", {"r": 33}, r"^peft_loha.r must lie between 1 and 32 \(the width of the map\); got 33$"),
    ("peft:loha", {"r": 2000, "targets": ["fc1"]}, r"peft_loha.r must lie between 1 and 32 .*; got 2000"),
    ("peft:miss", {}, r"peft_miss.r must lie between 1 and 32 .*; got 64"),
    (
        "peft:loha",
        {"targets": ["w"]},
        r"peft_loha.targets takes distinct names of q, k, v, o, fc1, fc2; got 'w'",
    ),
    ("peft:loha", {"layers": [7]}, r"peft_loha.layers takes .*0 to 2; got \[7\]"),
    ("peft:miss", {"r": 8, "init_weights": "bad"}, r"init_weights takes bat, mini, bool; got 'bad'"),
    ("peft:c3a", {}, r"peft_c3a does not fit the maps q, v of this upstream: .*size is 32"),
    ("ia3", {"feedforward": ["fc1"]}, r"ia3.feedforward takes distinct names of k, v, fc2; got 'fc1'"),
    ("vera", {"rank": 0}, r"vera.rank must be at least 1; got 0"),
    ("vera", {"d_initial": 0.0}, r"vera.d_initial must not be 0"),
    ("vera", {"dropout": 2.0}, r"vera.dropout must lie in"),
    ("vera+peft:loha", {"vera": {}, "peft_loha": {}}, r"'vera' and 'peft_loha' both occupy layers.0.q"),
]


@pytest.mark.parametrize(("spec", "options", "message"), BAD, ids=str)
def test_bad_options_give_one_sentence(spec, options, message, tiny_checkpoint):
    with pytest.raises(UserError, match=message):
        PeftCase(spec, "hubert", options).build(tiny_checkpoint)


def test_only_usable_tuners_are_offered(found):
    with pytest.raises(UserError) as caught:
        peft.resolve(PeftConfig("peft:none_of_these"))
    offered = str(caught.value).partition(" knows ")[2].split(", ")
    assert offered == [tuner for tuner, refused in found.items() if refused is None]


@pytest.mark.parametrize(
    ("tuner", "options"), [("oft", {"r": 2, "oft_block_size": 0}), ("oft", {}), ("pvera", {"r": 300})]
)
def test_blocks_and_random_projections_are_no_rank(tuner, options, tiny_checkpoint):
    """``r: 0`` leaves OFT's blocks to their size, and PVeRA may project to more than it comes from."""
    assert PeftCase(f"peft:{tuner}", "hubert", options).build(tiny_checkpoint)


def test_options_come_through_a_saved_config():
    config = PeftConfig("peft:miss", {"peft_miss": {"r": 8, "init_weights": "bat", "layers": "top:2"}})
    first, again = peft.resolve(config), peft.resolve(peft.expand(config))
    assert first[0].options == again[0].options
    assert (first[0].options.tuner, first[0].options.r, first[0].options.layers) == ("miss", 8, "top:2")
    assert peft.changed_options(config) == {"peft_miss": {"layers": "top:2", "r": 8, "init_weights": "bat"}}


IA3_CASES = [
    {},
    {"targets": ["q", "fc1", "fc2"], "feedforward": ["fc1"]},
    {"targets": ["v"], "feedforward": []},
]
VERA_CASES = [{}, {"save_projection": True, "targets": ["q", "fc1"], "rank": 16, "dropout": 0.1}]
OWN = [("ia3", options) for options in IA3_CASES] + [("vera", options) for options in VERA_CASES]


@pytest.mark.parametrize(("spec", "options"), OWN, ids=str)
def test_ia3_and_vera_keep_the_contract(spec, options, tiny_checkpoints):
    check_all(PeftCase(spec, "hubert", options), tiny_checkpoints)


def test_ia3_scales_outputs_and_the_inside_of_the_feed_forward_block(tiny_checkpoint):
    layer = PeftCase("ia3", "hubert").build(tiny_checkpoint).encoder.layers[0]
    generator = torch.Generator().manual_seed(0)
    for wrapped, width, inside in ((layer.k, 32, False), (layer.v, 32, False), (layer.fc2, 48, True)):
        x, base = torch.randn(5, width, generator=generator), wrapped.get_base_layer()
        with torch.no_grad():
            scale = wrapped.ia3_l["ia3"].uniform_(0.5, 2.0, generator=generator).flatten()
            assert len(scale) == width
            expected = base(x * scale) if inside else base(x) * scale
            torch.testing.assert_close(wrapped(x), expected)


def test_vera_is_its_formula_on_shared_projections(tiny_checkpoint):
    """(b * B) (d * A) with A, B drawn from the key alone, cut to each map's size out of one shared pair."""
    case = PeftCase("vera", "hubert", {"targets": ["q", "fc1"], "rank": 16, "projection_prng_key": 5})
    layer = case.build(tiny_checkpoint).encoder.layers[0]
    generator = torch.Generator().manual_seed(5)
    bounds = [(6.0 / fan_in) ** 0.5 for fan_in in (32, 16)]  # Kaiming, uniform
    a = torch.empty(16, 32).uniform_(-bounds[0], bounds[0], generator=generator)
    b = torch.empty(48, 16).uniform_(-bounds[1], bounds[1], generator=generator)
    x = torch.randn(5, 32, generator=generator)
    for wrapped, width in ((layer.q, 32), (layer.fc1, 48)):
        with torch.no_grad():
            wrapped.vera_lambda_b["vera"].normal_(generator=generator)
            scale = wrapped.vera_lambda_b["vera"]
            expected = wrapped.get_base_layer()(x) + scale * (0.1 * (x @ a.T) @ b[:width].T)
            torch.testing.assert_close(wrapped(x), expected, atol=1e-5, rtol=1e-5)
    assert layer.q.vera_A["vera"] is layer.fc1.vera_A["vera"]


def test_veras_projections_are_saved_on_demand_and_once(tiny_checkpoint):
    for save, names in (
        (False, []),
        (True, ["encoder.layers.0.q.vera_A.vera", "encoder.layers.0.q.vera_B.vera"]),
    ):
        model = PeftCase("vera", "hubert", {"save_projection": save}).build(tiny_checkpoint)
        assert [
            name for name in model.trainable_state() if "lambda" not in name and "head" not in name
        ] == names
        assert not any("vera_A" in name or "vera_B" in name for name, _ in model.named_parameters())


def test_counts():
    skeleton = build_skeleton(HUB["hubert_base"].geometry)
    expected = {
        "ia3": 12 * (768 + 768 + 3072),  # 55,296
        "vera": 24 * (768 + 256),  # 24,576
        "peft:loha": 24 * 2 * 8 * (768 + 768),
        "peft:hra": 24 * 8 * 768,
        "peft:fourierft": 24 * 1000,
    }
    for spec, number in expected.items():
        (count,) = peft.count(skeleton, peft.resolve(PeftConfig(spec))).values()
        assert count == number, spec


PROGRAM = """
import sys, torch
from peft_asr.tasks.adapter import load_adapter
from tests.tiny import random_wavs
wavs, lengths = random_wavs([9000, 5000])
with torch.no_grad():
    torch.save({path: load_adapter(path).model(wavs, lengths)[0] for path in sys.argv[2:]}, sys.argv[1])
"""

SAVED = [
    ("lora", {"init": "pissa_niter_1"}), ("lora", {"init": "olora"}), ("adalora", {}), ("ia3", {}), ("vera", {}),
    ("qlora", {}), ("peft:shira", SMALL["shira"]), ("peft:psoft", {}), ("peft:frod", {}), ("peft:unilora", {}),
]  # fmt: skip


def test_a_fresh_process_gives_the_same_logits(tiny_checkpoint, tmp_path):
    wavs, lengths = random_wavs([9000, 5000])
    expected = {}
    for index, (spec, options) in enumerate(SAVED):
        case = PeftCase(spec, "hubert", options)
        model = training.moved(case, tiny_checkpoint).eval()
        save_adapter(tmp_path / str(index), model, case.config(tiny_checkpoint), TOKENS, step=2, metrics={})
        with torch.no_grad():
            expected[str(tmp_path / str(index))] = model(wavs, lengths)[0]
    out = tmp_path / "logits.pt"
    subprocess.run([sys.executable, "-W", "ignore", "-c", PROGRAM, str(out), *expected], check=True)
    for (spec, options), (path, logits) in zip(SAVED, torch.load(out).items(), strict=True):
        assert torch.equal(logits, expected[path]), (spec, options)


def test_the_probe_sees_every_tensor_that_does_not_train():
    """On one map of each kind of holder: a buffer, a dictionary of peft's, and one hidden from ``named_buffers``."""
    from peft.tuners._buffer_dict import BufferDict

    holder = nn.Module()
    holder.base_layer = nn.BatchNorm1d(3)
    holder.register_buffer("plain", torch.zeros(1))
    holder.indices = {"probe": torch.ones(2), "other": torch.ones(3)}
    object.__setattr__(holder, "hidden", BufferDict({"probe": torch.ones(4)}))
    assert sorted(path for path, _ in tuner_probe.fixed_tensors(holder, "probe")) == [
        "hidden.probe",
        "indices.probe",
        "plain",
    ]
