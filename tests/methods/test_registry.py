"""The '+' language, presets, options and their errors; injection of two adapters of one class."""

import pytest
import torch

from peft_asr.config import PeftConfig, UpstreamConfig
from peft_asr.errors import UserError
from peft_asr.peft import METHODS, changed_options, expand, inject, register, resolve
from peft_asr.upstream import load_upstream
from tests.contract.cases import Case
from tests.mutants import registered
from tests.tiny import random_wavs


def encoder(path: str):
    return load_upstream(UpstreamConfig(name="tiny", ckpt=path))


@pytest.mark.parametrize(
    ("spec", "options", "message"),
    [
        ("lroa", {}, r"unknown method 'lroa' \(did you mean 'lora'\?\) for --peft; peft-asr count --table"),
        ("lora+", {}, "method names joined by"),
        ("lora+lora", {}, "names a method twice"),
        ("lora", {"lora": {"rnk": 4}}, r"unknown option 'rnk' .*did you mean 'rank'"),
        ("lora", {"lora": {"rank": "big"}}, "--peft lora: .*Integer"),
        ("lora", {"lora": 4}, "must be key: value pairs"),
        ("lora", {"full": {"dropout": False}}, "options are given for 'full', but --peft is lora"),
        ("frozen", {"frozen": {"rank": 4}}, "unknown option 'rank'"),
    ],
)
def test_bad_specs_are_one_sentence(spec, options, message):
    with pytest.raises(UserError, match=message) as caught:
        resolve(PeftConfig(spec, options))
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"rank": 0}, "rank must lie between 1 and 32 .*; got 0"),
        ({"rank": -3}, "rank must lie between 1 and 32"),
        ({"rank": 33}, "rank must lie between 1 and 32"),
        ({"alpha": 0}, "alpha must be above 0"),
        ({"dropout": 1.0}, r"dropout must lie in \[0, 1\)"),
        ({"targets": ["query"]}, "targets takes distinct names of q, k, v, o, fc1, fc2; got 'query'"),
        ({"targets": []}, "targets takes distinct names"),
        ({"targets": ["q", "q"]}, "targets takes distinct names"),
        ({"layers": "top:4"}, "with N from 1 to 3.*got 'top:4'"),
        ({"layers": "top:0"}, "with N from 1 to 3"),
        ({"layers": [0, 3]}, r"indices from 0 to 2; got \[0, 3\]"),
        ({"layers": []}, "layers takes"),
        ({"layers": "some"}, "layers takes"),
    ],
)
def test_bad_lora_options(options, message, tiny_checkpoint):
    with pytest.raises(UserError, match=message):
        inject(encoder(tiny_checkpoint), resolve(PeftConfig("lora", {"lora": options})))


def test_two_methods_at_one_site_are_refused(tiny_checkpoint):
    with pytest.raises(UserError, match="'lora' and 'rslora' both occupy layers.0.q"):
        inject(encoder(tiny_checkpoint), resolve(PeftConfig("lora+rslora")))
    with pytest.raises(UserError, match="'full' and 'lora' both occupy"):
        inject(encoder(tiny_checkpoint), resolve(PeftConfig("full+lora")))


def test_options_reach_a_preset_by_its_name_or_its_methods():
    (by_part,) = resolve(PeftConfig("lora_all", {"lora_all": {"rank": 3}}))
    (by_method,) = resolve(PeftConfig("lora_all", {"lora": {"rank": 3}}))
    assert by_part.options == by_method.options
    assert by_part.options.rank == 3 and by_part.options.targets == ["q", "k", "v", "o", "fc1", "fc2"]


def test_two_adapters_of_one_class_are_both_active(tiny_checkpoint):
    """peft's second adapter of a tuner class silently disables the first."""
    spec = PeftConfig("lora+rslora", {"lora": {"layers": [0]}, "rslora": {"layers": [1]}})
    both = encoder(tiny_checkpoint)
    inject(both, resolve(spec))
    wavs, lengths = random_wavs([6000])
    start, _ = both(wavs, lengths)
    changes = []
    for site, name in (("layers.0.q", "lora"), ("layers.1.q", "rslora")):
        lora_b = both.get_submodule(site).lora_B[name].weight
        assert lora_b.requires_grad
        with torch.no_grad():
            lora_b.fill_(0.1)
            changes.append((both(wavs, lengths)[0] - start).abs().max().item())
            lora_b.zero_()
    assert min(changes) > 1e-4


def test_lora_scale_and_rslora_scale(tiny_checkpoint):
    plain, stable = encoder(tiny_checkpoint), encoder(tiny_checkpoint)
    inject(plain, resolve(PeftConfig("lora", {"lora": {"rank": 4, "alpha": 8}})))
    inject(stable, resolve(PeftConfig("rslora", {"rslora": {"rank": 4, "alpha": 8}})))
    assert plain.layers[0].q.scaling["lora"] == 2.0
    assert stable.layers[0].q.scaling["rslora"] == 4.0


def test_layers_and_boundaries(tiny_checkpoint):
    for options, layers, boundary in (
        ({}, [0, 1, 2], "layer:0"), ({"layers": "top:1"}, [2], "layer:2"), ({"layers": [1]}, [1], "layer:1"),
    ):  # fmt: skip
        model = Case("lora", "hubert", options).build(tiny_checkpoint)
        trains = {
            int(name.split(".")[2])
            for name, p in model.encoder.named_parameters(prefix="e")
            if p.requires_grad
        }
        assert sorted(trains) == layers and model.boundary == boundary
    assert Case("frozen", "hubert").build(tiny_checkpoint).boundary == "all"
    assert Case("full", "hubert").build(tiny_checkpoint).boundary == "audio"
    assert Case("full", "hubert", {"freeze_frontend": True}).build(tiny_checkpoint).boundary == "conv"


def test_new_weights_come_from_the_seed_alone(tiny_checkpoint):
    torch.manual_seed(11)
    first = Case("lora", "hubert").build(tiny_checkpoint)
    torch.manual_seed(12)
    second = Case("lora", "hubert").build(tiny_checkpoint)
    frozen = Case("frozen", "hubert").build(tiny_checkpoint)
    for name, tensor in first.trainable_state().items():
        assert torch.equal(tensor, second.trainable_state()[name])
    assert torch.equal(first.head.output.weight, frozen.head.output.weight), (
        "methods share one head at the start"
    )


def test_an_expanded_config_stands_without_its_preset(monkeypatch, tmp_path):
    given = PeftConfig("lora_all+weighted_sum", {"lora": {"rank": 3}})
    expanded = expand(given)
    assert expanded.options["lora_all"]["method"] == "lora" and expanded.options["lora_all"]["rank"] == 3
    assert changed_options(given) == changed_options(expanded) == {"lora_all": {"rank": 3}}
    before = [m.options for m in resolve(given)]
    monkeypatch.setattr("peft_asr.peft.registry.PRESET_DIR", tmp_path)
    assert [m.options for m in resolve(expanded)] == before
    assert expand(expanded) == expanded


def test_merging_a_diverged_adapter_is_one_sentence(tiny_checkpoint):
    model = Case("lora", "hubert").build(tiny_checkpoint)
    with torch.no_grad():
        model.encoder.layers[0].q.lora_B["lora"].weight.fill_(float("nan"))
    with pytest.raises(UserError, match="cannot merge 'lora' into layers.0.q.*diverged"):
        model.merge()


def test_a_class_keeps_its_name():
    """A subclass under another name does not rename its parent; the class itself cannot have two."""
    lora = METHODS["lora"]

    @register("another_lora")
    class Another(lora):
        pass

    assert (lora.name, Another.name, METHODS["lora"]) == ("lora", "another_lora", lora)
    assert expand(PeftConfig("lora")).options["lora"]["method"] == "lora"
    with pytest.raises(
        UserError, match="lora:Lora is registered as 'lora'; .* as 'second' too, make a subclass"
    ):
        register("second")(lora)
    assert lora.name == "lora" and "second" not in METHODS
    assert register("lora")(lora) is lora


@pytest.mark.parametrize("name", ["lora", "bitfit"])
def test_a_shipped_method_under_test_as_a_mutant_keeps_its_name(name):
    """Its adapters would otherwise say ``method: mutant``, which no other process knows."""
    cls = METHODS[name]
    with registered(cls):
        assert cls.name == name and issubclass(METHODS["mutant"], cls)
        assert expand(PeftConfig(name)).options[name]["method"] == name
        assert expand(PeftConfig("mutant")).options["mutant"]["method"] == "mutant"
    assert "mutant" not in METHODS and METHODS[name] is cls


def test_what_one_test_registers_the_next_does_not_know():
    assert not {"another_lora", "mutant", "bypassedlora"} & METHODS.keys()
