"""``peft-asr import``: what was exported comes back, what peft itself saved comes in, the rest is refused."""

import json
import shutil

import pytest
import soundfile
import torch
from peft import LoraConfig, get_peft_model
from safetensors.torch import load_file, save_file
from transformers import HubertForCTC

from peft_asr.bin.main import main
from peft_asr.errors import UserError
from peft_asr.export.from_peft import import_peft
from peft_asr.export.to_hf import export_hf
from peft_asr.export.to_peft import export_peft
from peft_asr.report.adapter import adapter_lines, describe_adapter
from peft_asr.tasks.adapter import load_adapter
from tests.decode.small_world import noise
from tests.export.worlds import LORAS, MAPPED, logits_of, one_second, save_world
from tests.tiny import write_tiny_checkpoint

CASES = [(spec, options, "hubert") for spec, options in LORAS]
CASES += [("lora", {"targets": ["fc1"]}, family) for family in MAPPED if family != "hubert"]
VOCABULARY = [
    "|",
    "a",
    "b",
    "c",
    "[UNK]",
    "[PAD]",
    "<s>",
]  # the blank near the end, as many tutorials have it
LORA_Q = "base_model.model.hubert.encoder.layers.1.attention.q_proj.lora_A.weight"


@pytest.mark.parametrize("spec, options, family", CASES, ids=str)
def test_there_and_back_again(spec, options, family, tiny_checkpoints, tmp_path):
    loaded = save_world(tmp_path / "adapter", tiny_checkpoints[family], spec, options)
    export_peft(loaded, tmp_path / "out")
    import_peft(tmp_path / "out", tmp_path / "back")
    ours, back = (load_file(tmp_path / f / "adapter.safetensors") for f in ("adapter", "back/adapter"))
    assert ours.keys() == back.keys() and all(torch.equal(ours[name], back[name]) for name in ours)
    again = load_adapter(tmp_path / "back" / "adapter")
    assert again.tokenizer.state() == loaded.tokenizer.state()
    assert again.meta["upstream"] == loaded.meta["upstream"] and again.meta["metrics"] == {
        "wer": 12.5,
        "loss": 0.25,
    }
    (method,), (before,) = again.model.injected.methods, loaded.model.injected.methods
    assert (method.part, method.sites(again.model.encoder)) == (spec, before.sites(loaded.model.encoder))


def test_the_result_is_an_experiment(tiny_checkpoint, tmp_path, capsys):
    save_world(tmp_path / "adapter", tiny_checkpoint)
    soundfile.write(tmp_path / "a.wav", noise(16000, seed=1), 16000)
    export = ["export", "--exp", str(tmp_path / "adapter"), "--to", "peft", "--out", str(tmp_path / "out")]
    assert main(export) == 0
    assert main(["import", "--adapter", str(tmp_path / "out"), "--out", str(tmp_path / "exp")]) == 0
    capsys.readouterr()
    texts = []
    for exp in ("adapter", "exp"):
        assert main(["transcribe", "--exp", str(tmp_path / exp), str(tmp_path / "a.wav")]) == 0
        texts.append(capsys.readouterr().out)
    assert texts[0] == texts[1] and texts[0].strip()
    assert main(["info", str(tmp_path / "exp")]) == 0
    assert "made by        import of lora on hubert" in capsys.readouterr().out


@pytest.fixture(scope="module")
def foreign(tmp_path_factory, tiny_checkpoints):
    """An adapter that huggingface/peft made on transformers' model, and its logits of ``one_second``."""
    folder = tmp_path_factory.mktemp("foreign")
    export_hf(save_world(folder / "frozen", tiny_checkpoints["hubert"], "frozen"), folder / "base")
    torch.manual_seed(0)
    base = HubertForCTC.from_pretrained(
        folder / "base", vocab_size=len(VOCABULARY), ignore_mismatched_sizes=True
    )
    config = LoraConfig(
        r=4,
        lora_alpha=6,
        target_modules=["q_proj", "intermediate_dense"],
        modules_to_save=["lm_head"],
        use_dora=True,
    )
    model = get_peft_model(base, config).eval()
    with torch.no_grad():
        for parameter in model.parameters():
            if parameter.requires_grad:
                parameter.add_(0.1 * torch.randn_like(parameter))
        logits = model(one_second()[1]).logits
    model.save_pretrained(folder / "adapter", save_embedding_layers=False)
    names = {"pad_token": "[PAD]", "unk_token": {"content": "[UNK]"}, "word_delimiter_token": "|"}
    (folder / "adapter" / "tokenizer_config.json").write_text(json.dumps(names))
    (folder / "adapter" / "vocab.json").write_text(json.dumps({t: i for i, t in enumerate(VOCABULARY)}))
    return folder / "adapter", logits


def test_an_adapter_that_peft_saved(foreign, tiny_checkpoint, tmp_path):
    folder, expected = foreign
    model = import_peft(folder, tmp_path / "exp", upstream="mine", upstream_ckpt=tiny_checkpoint)
    loaded = load_adapter(tmp_path / "exp" / "adapter")
    assert loaded.tokenizer.tokens == ["<blank>", "<unk>", "<space>", "a", "b", "c", "<s>"]
    torch.testing.assert_close(logits_of(loaded), expected[..., [5, 4, 0, 1, 2, 3, 6]], atol=1e-4, rtol=0)
    (method,) = model.injected.methods
    o = method.options
    assert (o.rank, o.alpha, o.dora, o.rslora, o.targets, o.layers) == (
        4,
        6,
        True,
        False,
        ["q", "fc1"],
        "all",
    )
    text = "\n".join(adapter_lines(describe_adapter(str(tmp_path / "exp"))))
    assert "import; trained elsewhere" in text and "upstream       mine" in text


def test_a_token_file_instead_of_a_vocabulary(foreign, tiny_checkpoint, tmp_path):
    copy = shutil.copytree(foreign[0], tmp_path / "a")
    (copy / "vocab.json").unlink()
    given = {"upstream_ckpt": tiny_checkpoint, "tokens": str(tmp_path / "tokens.txt")}
    with pytest.raises(UserError, match="no vocab.json; give the token list with --tokens FILE"):
        import_peft(copy, tmp_path / "exp", upstream_ckpt=tiny_checkpoint)
    with pytest.raises(UserError, match="cannot read --tokens"):
        import_peft(copy, tmp_path / "exp", **given)
    (tmp_path / "tokens.txt").write_text("<blank>\n<unk>\na\n")
    with pytest.raises(UserError, match="has 3 tokens and the head 7 classes"):
        import_peft(copy, tmp_path / "exp", **given)
    (tmp_path / "tokens.txt").write_text("<blank>\n<unk>\na\nb\nc\nd\n<space>\n")
    import_peft(copy, tmp_path / "exp", **given)
    torch.testing.assert_close(
        logits_of(load_adapter(tmp_path / "exp" / "adapter")), foreign[1], atol=1e-4, rtol=0
    )


def test_a_pickle_only_when_allowed(foreign, tiny_checkpoint, tmp_path):
    copy = shutil.copytree(foreign[0], tmp_path / "a")
    torch.save(load_file(copy / "adapter_model.safetensors"), copy / "adapter_model.bin")
    (copy / "adapter_model.safetensors").unlink()
    given = {"upstream_ckpt": tiny_checkpoint}
    with pytest.raises(UserError, match="adapter_model.bin is a pickle, .*--allow_pickle true"):
        import_peft(copy, tmp_path / "exp", **given)
    import_peft(copy, tmp_path / "exp", **given, allow_pickle=True)
    torch.save({"x": object}, copy / "adapter_model.bin")
    with pytest.raises(UserError, match="corrupt, or holds more than tensors"):
        import_peft(copy, tmp_path / "exp2", **given, allow_pickle=True)


@pytest.mark.parametrize(
    "change, message",
    [
        ({"peft_type": "IA3"}, "an adapter of type IA3; import takes LORA"),
        ({"bias": "all"}, "sets bias to 'all', which import does not support"),
        ({"use_qalora": True}, "sets use_qalora to 'True', which"),
        ({"rank_pattern": {"q_proj": 2}}, "sets rank_pattern to"),
        ({"alpha_pattern": {"q_proj": 2}}, "sets alpha_pattern to"),
        ({"a_new_feature": 3}, "sets a_new_feature to '3', which"),
        (
            {"init_lora_weights": "pissa"},
            "init_lora_weights 'pissa', so the adapter belongs to a base with changed",
        ),
        ({"modules_to_save": None}, "modules_to_save None; import takes adapters with their CTC head"),
        ({"r": "many"}, "adapter_config.json is damaged: invalid literal"),
        ({"target_modules": "(("}, "adapter_config.json is damaged: "),
        (
            {"target_modules": ["q_proj", "out_proj"]},
            "lacks 'base_model.*0.attention.out_proj.lora_A', which its target",
        ),
        ({"target_modules": ["q_proj"]}, "holds '.*intermediate_dense.lora_A.weight', which has no place"),
        ({"r": 5}, r"q_proj.lora_A' is \(4, 32\) and would be \(5, 32\) on this upstream"),
        (
            {"target_modules": r".*(1\.attention\.q_proj|intermediate_dense)"},
            "holds '.*layers.0.attention.q_proj",
        ),
    ],
)
def test_settings_that_do_not_fit(change, message, foreign, tiny_checkpoint, tmp_path):
    copy = shutil.copytree(foreign[0], tmp_path / "a")
    settings = json.loads((copy / "adapter_config.json").read_text())
    (copy / "adapter_config.json").write_text(json.dumps({**settings, **change}))
    with pytest.raises(UserError, match=message):
        import_peft(copy, tmp_path / "exp", upstream_ckpt=tiny_checkpoint)
    assert not (tmp_path / "exp").exists()


@pytest.mark.parametrize(
    "change, message",
    [
        (lambda t: t.pop(LORA_Q), f"lacks '{LORA_Q.removesuffix('.weight')}'.*the file is not whole, or"),
        (
            lambda t: t.update({"base_model.model.x.lora_A.weight": torch.zeros(4, 32)}),
            "holds 'base_model.model.x.lora_A",
        ),
        (lambda t: t.update({LORA_Q: torch.zeros(4, 31)}), r"is \(4, 31\) and would be \(4, 32\)"),
        (lambda t: t.pop("base_model.model.lm_head.bias"), r"lacks the CTC head: it has \['weight'\]"),
        (
            lambda t: [t.pop(k) for k in list(t) if "layers.1." in k and "q_proj" in k],
            "lacks '.*layers.1.attention.q_proj",
        ),
    ],
)
def test_tensors_that_do_not_fit(change, message, foreign, tiny_checkpoint, tmp_path):
    copy = shutil.copytree(foreign[0], tmp_path / "a")
    tensors = load_file(copy / "adapter_model.safetensors")
    change(tensors)
    save_file(tensors, copy / "adapter_model.safetensors")
    with pytest.raises(UserError, match=message):
        import_peft(copy, tmp_path / "exp", upstream_ckpt=tiny_checkpoint)


def test_maps_that_differ_from_layer_to_layer(foreign, tiny_checkpoint, tmp_path):
    copy = shutil.copytree(foreign[0], tmp_path / "a")
    settings = json.loads((copy / "adapter_config.json").read_text())
    settings["target_modules"] = r".*(layers\.0\.attention\.q_proj|intermediate_dense)"
    (copy / "adapter_config.json").write_text(json.dumps(settings))
    tensors = load_file(copy / "adapter_model.safetensors")
    kept = {k: t for k, t in tensors.items() if "q_proj" not in k or "layers.0." in k}
    save_file(kept, copy / "adapter_model.safetensors")
    with pytest.raises(
        UserError, match=r"other maps in some layers than in others \(q, fc1 in layers \[0, 1, 2\]"
    ):
        import_peft(copy, tmp_path / "exp", upstream_ckpt=tiny_checkpoint)


def test_another_base(foreign, tiny_checkpoints, tmp_path):
    """By depth, by width, by family, by name, by fingerprint, by the waveforms that it saw."""
    given = {"upstream_ckpt": write_tiny_checkpoint(tmp_path / "shallow.pt", layers=2)}
    with pytest.raises(
        UserError, match="holds '.*layers.2.*this upstream of 2 layers .* belongs to another base"
    ):
        import_peft(foreign[0], tmp_path / "exp", **given)
    given = {"upstream_ckpt": tiny_checkpoints["wav2vec2"]}
    with pytest.raises(
        UserError, match="lacks 'base_model.model.wav2vec2.*, or the adapter belongs to another base"
    ):
        import_peft(foreign[0], tmp_path / "exp", **given)
    with pytest.raises(UserError, match="the family decoar2, which transformers has no CTC model of"):
        import_peft(foreign[0], tmp_path / "exp", upstream_ckpt=tiny_checkpoints["decoar2"])
    copy = shutil.copytree(foreign[0], tmp_path / "a")
    settings = json.loads((copy / "adapter_config.json").read_text())
    settings["base_model_name_or_path"] = "facebook/wav2vec2-base"
    (copy / "adapter_config.json").write_text(json.dumps(settings))
    with pytest.raises(
        UserError, match="facebook/wav2vec2-base, .*--upstream hubert_base is facebook/hubert-base-ls960"
    ):
        import_peft(copy, tmp_path / "exp", upstream="hubert_base", upstream_ckpt=tiny_checkpoints["hubert"])
    (copy / "preprocessor_config.json").write_text('{"do_normalize": true}')
    with pytest.raises(
        UserError, match="trained with do_normalize True, and the upstream wav2vec2_base_960 works with"
    ):
        import_peft(copy, tmp_path / "exp", upstream_ckpt=tiny_checkpoints["hubert"])
    export_peft(save_world(tmp_path / "ours", tiny_checkpoints["hubert"]), tmp_path / "out")
    other = write_tiny_checkpoint(tmp_path / "other.pt", seed=1)
    with pytest.raises(UserError, match="belongs to the upstream hubert .*, but this one is"):
        import_peft(tmp_path / "out", tmp_path / "exp", upstream_ckpt=other)


def test_what_is_not_there(foreign, tmp_path):
    with pytest.raises(UserError, match="adapter_config.json is missing"):
        import_peft(tmp_path, tmp_path / "exp")
    with pytest.raises(UserError, match="--upstream NAME or --upstream_ckpt FILE"):
        import_peft(foreign[0], tmp_path / "exp")
    copy = shutil.copytree(foreign[0], tmp_path / "a")
    (copy / "adapter_model.safetensors").write_bytes(b"cut")
    with pytest.raises(UserError, match="adapter_model.safetensors is corrupt"):
        import_peft(copy, tmp_path / "exp")
    (copy / "adapter_model.safetensors").unlink()
    with pytest.raises(UserError, match="has no adapter_model.safetensors"):
        import_peft(copy, tmp_path / "exp")


@pytest.mark.parametrize(
    "vocabulary, message",
    [
        ({"a": 0, "[PAD]": 1}, "has 2 tokens and the head 7 classes"),
        ({"eng": {"a": 0}}, "does not map tokens to numbers"),
        (
            dict(zip([*VOCABULARY[:4], "u", "[PAD]", "<s>"], range(7), strict=True)),
            r"lacks '\[UNK\]', .* unknown token",
        ),
        (dict(zip([*VOCABULARY[:5], "p", "<s>"], range(7), strict=True)), r"lacks '\[PAD\]', .* its blank"),
    ],
)
def test_vocabularies_that_do_not_fit(vocabulary, message, foreign, tiny_checkpoint, tmp_path):
    copy = shutil.copytree(foreign[0], tmp_path / "a")
    (copy / "vocab.json").write_text(json.dumps(vocabulary))
    with pytest.raises(UserError, match=message):
        import_peft(copy, tmp_path / "exp", upstream_ckpt=tiny_checkpoint)
