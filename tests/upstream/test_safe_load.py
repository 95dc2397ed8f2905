"""Loading an upstream runs no code from its file."""

import os

import pytest
import torch

from peft_asr.config import UpstreamConfig
from peft_asr.errors import UserError
from peft_asr.upstream import load_upstream
from peft_asr.upstream.safe_load import parse_conv_layers, read_checkpoint


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("[(512,10,5)] + [(512,3,2)] * 2", [(512, 10, 5), (512, 3, 2), (512, 3, 2)]),
        ("2 * [(8, 3, 1 + 1)]", [(8, 3, 2), (8, 3, 2)]),
        ("[[16, 10, 5]]", [(16, 10, 5)]),
        (None, None),
    ],
)
def test_lists_of_numbers_are_computed(text, value):
    assert parse_conv_layers(text, "file") == value


@pytest.mark.parametrize(
    "text",
    [
        "__import__('os').system('true')", "[(512,10,5)] + list(())", "[(i,1,1) for i in (1,2)]", "[(512,10)]", "[]",
        "[(512,10,-5)]", "[(512.0,10,5)]", "[(True,10,5)]", "(", "[(512,10,5)] * 10**9", "[(1,1,1)] * 1000000000", "5",
        "[(9,9,9)] * (999999999 * 999999999)", "'ab' * 3", "(" * 5000,
    ],
)  # fmt: skip
def test_everything_else_is_refused(text):
    with pytest.raises(UserError, match="conv_feature_layers"):
        parse_conv_layers(text, "file")


def edit(source: str, target, change) -> str:
    state = read_checkpoint(source)
    change(state)
    torch.save(state, target)
    return str(target)


def load(path: str, **options):
    return load_upstream(UpstreamConfig(name="tiny", ckpt=path, **options))


def conv_layers_of(family: str, state: dict) -> tuple[dict, str]:
    """Where a family keeps the string that s3prl evaluates."""
    if family == "distilhubert":
        return state["Config"]["distiller"], "extractor_conv_feature_layers"
    return state["cfg" if family == "wavlm" else "model_cfg"], "conv_feature_layers"


@pytest.mark.parametrize("family", ["hubert", "wavlm", "distilhubert"])
def test_code_in_the_configuration_does_not_run(family, tiny_checkpoints, tmp_path):
    trace = tmp_path / "ran"
    code = f"[(16,10,5)] if __import__('os').system('touch {trace}') else [(16,10,5)]"

    def change(state):
        options, key = conv_layers_of(family, state)
        options[key] = code

    path = edit(tiny_checkpoints[family], tmp_path / "evil.pt", change)
    with pytest.raises(UserError, match="may hold only integers"):
        load(path)
    assert not trace.exists()


class Payload:
    """Runs a shell command when unpickled."""

    def __init__(self, trace):
        self.trace = trace

    def __reduce__(self):
        return (os.system, (f"touch {self.trace}",))


def test_a_pickle_with_code_is_refused_naming_the_option(tiny_checkpoint, tmp_path):
    trace = tmp_path / "ran"
    path = edit(tiny_checkpoint, tmp_path / "evil.pt", lambda s: s.update(extra=Payload(trace)))
    with pytest.raises(UserError, match="upstream.trust_pickle=true"):
        load(path)
    assert not trace.exists()


class Harmless:
    """Needs full unpickling, and does nothing."""


def test_trust_pickle_reads_it(tiny_checkpoint, tmp_path):
    path = edit(tiny_checkpoint, tmp_path / "odd.pt", lambda s: s.update(extra=Harmless()))
    with pytest.raises(UserError, match="trust_pickle"):
        load(path)
    assert len(load(path, trust_pickle=True).layers) == 3


def test_missing_cut_and_foreign_files(tiny_checkpoint, tmp_path):
    with pytest.raises(UserError, match="no upstream checkpoint at .*--upstream_ckpt"):
        read_checkpoint(tmp_path / "absent.pt")
    whole = open(tiny_checkpoint, "rb").read()
    for name, content in (("cut.pt", whole[: len(whole) // 2]), ("text.pt", b"hello"), ("empty.pt", b"")):
        (tmp_path / name).write_bytes(content)
        with pytest.raises(UserError, match=f"{name} is not a readable checkpoint [(]cut off"):
            read_checkpoint(tmp_path / name)
    torch.save({"weights": torch.zeros(1)}, tmp_path / "foreign.pt")
    with pytest.raises(UserError, match="no checkpoint that is recognised by what it holds [(]weights[)]"):
        load(tmp_path / "foreign.pt")
    torch.save(torch.zeros(1), tmp_path / "tensor.pt")
    with pytest.raises(UserError, match="holds a Tensor, not the dict"):
        load(tmp_path / "tensor.pt")


def test_weights_are_loaded_strictly(tiny_checkpoint, tmp_path):
    gone = edit(
        tiny_checkpoint, tmp_path / "a.pt", lambda s: s["model_weight"].pop("encoder.layers.0.fc1.bias")
    )
    with pytest.raises(UserError, match="do not fit .*fc1.bias"):
        load(gone)


@pytest.mark.parametrize(
    ("family", "part", "key"),
    [
        ("wavlm", "model", "encoder.layers.0.self_attn.relative_attention_bias.weight"),
        ("distilhubert", "Distiller", "output_layer.2.bias"),
        ("decoar2", "model", "encoder.layers.1.fc1.bias"),
    ],
)
def test_every_family_wants_all_its_weights(family, part, key, tiny_checkpoints, tmp_path):
    gone = edit(tiny_checkpoints[family], tmp_path / "a.pt", lambda s: s[part].pop(key))
    with pytest.raises(UserError, match=key):
        load(gone)


def test_a_file_of_anything_is_no_decoar2(tmp_path):
    """s3prl would load it silently and leave random weights."""
    torch.save({"model": {"a": torch.zeros(3, 3)}}, tmp_path / "a.pt")
    with pytest.raises(UserError, match="is no DeCoAR 2.0 model: it lacks post_extract_proj.weight"):
        load(str(tmp_path / "a.pt"))


@pytest.mark.parametrize(
    ("option", "value", "message"),
    [
        ("attention_type", "sparse", "attention_type 'sparse' is not supported, only 'original'"),
        ("final_dim", 16, "final_dim 16 is not supported, only 32"),
        ("encoder_layers", "two", "does not describe a DistilHuBERT model"),
    ],
)
def test_variants_of_distilhubert(option, value, message, tiny_checkpoints, tmp_path):
    path = edit(
        tiny_checkpoints["distilhubert"],
        tmp_path / "a.pt",
        lambda s: s["Config"]["distiller"].update({option: value}),
    )
    with pytest.raises(UserError, match=message):
        load(path)


def test_conformers_are_named_as_such(tiny_checkpoints, tmp_path):
    path = edit(
        tiny_checkpoints["wav2vec2"],
        tmp_path / "a.pt",
        lambda s: s["model_cfg"].update(layer_type="conformer"),
    )
    with pytest.raises(UserError, match="conformer layers do not fit"):
        load(path)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda s: s.update(model_cfg="six layers"), "has no dict model_cfg"),
        (lambda s: s.update(model_weight=[1, 2]), "has no dict model_weight"),
        (lambda s: s["model_cfg"].update(encoder_layers="six"), "does not describe a hubert model"),
        (lambda s: s["model_cfg"].update(encoder_attention_heads=5), "does not describe a hubert model"),
        (lambda s: s["model_weight"]["encoder.layers.0.fc1.bias"].fill_(float("nan")), "NaN or infinite"),
    ],
)
def test_a_configuration_that_makes_no_sense(tiny_checkpoint, tmp_path, change, message):
    with pytest.raises(UserError, match=message):
        load(edit(tiny_checkpoint, tmp_path / "odd.pt", change))


def test_random_bytes_are_called_corrupt_not_trusted(tmp_path):
    (tmp_path / "noise.pt").write_bytes(bytes(range(256)) * 20)
    with pytest.raises(UserError, match="not a readable checkpoint") as caught:
        read_checkpoint(tmp_path / "noise.pt")
    assert "trust" not in str(caught.value)
