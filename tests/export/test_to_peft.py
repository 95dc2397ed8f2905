"""``peft-asr export --to peft``."""

import json

import pytest
import torch
from peft import PeftModel
from safetensors.torch import load_file
from transformers import AutoModelForCTC

from peft_asr.bin.main import main
from peft_asr.errors import UserError
from peft_asr.export.names import CLASSES
from peft_asr.export.to_hf import export_hf
from peft_asr.export.to_peft import export_peft
from tests.export.worlds import LORAS, MAPPED, TOKENS, logits_of, one_second, save_world
from tests.tiny import write_tiny_checkpoint
from tests.tiny_hf import write_tiny_hf

PISSA = ("lora", {"init": "pissa", "rslora": True})
FFN = ("lora", {"targets": ["fc1", "fc2"]})  # what works in WavLM
CASES = [(spec, options, "hubert") for spec, options in [*LORAS, PISSA]]
CASES += [(*(FFN if "wavlm" in family else LORAS[1]), family) for family in MAPPED if family != "hubert"]


def peft_logits(folder, base, normalize: bool, eps: float = 1e-5) -> torch.Tensor:
    """What peft and transformers make of the directory."""
    plain = AutoModelForCTC.from_pretrained(
        base, vocab_size=len(TOKENS), pad_token_id=0, ignore_mismatched_sizes=True
    )
    given = one_second(normalize, eps)[1]
    with torch.no_grad():
        before = plain.eval()(given).logits
        logits = PeftModel.from_pretrained(plain, folder).eval()(given).logits
    assert (logits - before).abs().max() > 0.1  # the adapter does something
    return logits


@pytest.mark.parametrize("spec, options, family", CASES, ids=str)
def test_peft_gives_the_same_logits(spec, options, family, tiny_checkpoints, tmp_path):
    loaded = save_world(tmp_path / "adapter", tiny_checkpoints[family], spec, options)
    expected = logits_of(loaded)
    export_peft(loaded, tmp_path / "out", with_base=True)
    logits = peft_logits(tmp_path / "out", tmp_path / "out" / "base", loaded.model.encoder.geometry.normalize)
    torch.testing.assert_close(logits, expected, atol=1e-4, rtol=0)


def test_the_adapter_alone_describes_itself(tiny_checkpoint, tmp_path):
    loaded = save_world(tmp_path / "adapter", tiny_checkpoint, *LORAS[1])
    export_peft(loaded, tmp_path / "out")
    config = json.loads((tmp_path / "out" / "adapter_config.json").read_text())
    expected = {
        "peft_type": "LORA",
        "r": 4,
        "lora_alpha": 16,
        "lora_dropout": 0.1,
        "use_rslora": True,
        "use_dora": False,
        "layers_to_transform": [1, 2],
        "modules_to_save": ["lm_head"],
        "base_model_name_or_path": None,
    }
    assert {key: config[key] for key in expected} == expected
    assert sorted(config["target_modules"]) == [
        "attention.out_proj", "attention.q_proj", "feed_forward.intermediate_dense", "feed_forward.output_dense",
    ]  # fmt: skip
    tensors = load_file(tmp_path / "out" / "adapter_model.safetensors")
    assert len(tensors) == 2 * 4 * 2 + 2
    ours = load_file(tmp_path / "adapter" / "adapter.safetensors")
    key = "base_model.model.hubert.encoder.layers.2.attention.out_proj.lora_B.weight"
    assert torch.equal(tensors[key], ours["encoder.layers.2.o.lora_B.lora.weight"])
    readme = (tmp_path / "out" / "README.md").read_text()
    assert "transformers.HubertForCTC" in readme and "--with_base true" in readme


def test_a_start_from_the_weights_becomes_a_plain_lora_of_twice_the_rank(tiny_checkpoint, tmp_path):
    export_peft(save_world(tmp_path / "adapter", tiny_checkpoint, *PISSA), tmp_path / "out")
    config = json.loads((tmp_path / "out" / "adapter_config.json").read_text())
    assert (config["r"], config["init_lora_weights"], config["use_rslora"]) == (16, True, False)
    assert config["lora_alpha"] / 16 == pytest.approx(16 / 8**0.5)


def test_a_published_name_stands_for_its_base(tiny_checkpoint, tmp_path):
    loaded = save_world(tmp_path / "adapter", tiny_checkpoint, name="hubert_base")
    loaded.config.upstream.ckpt = None  # as after a download from s3prl's hub
    export_peft(loaded, tmp_path / "out")
    config = json.loads((tmp_path / "out" / "adapter_config.json").read_text())
    assert config["base_model_name_or_path"] == "facebook/hubert-base-ls960"


def test_an_upstream_of_transformers_is_its_own_base(tmp_path):
    base = write_tiny_hf(tmp_path / "up", "hf_wav2vec2_large")
    loaded = save_world(tmp_path / "adapter", None, name=f"hf:{base}")
    expected = logits_of(loaded)
    export_peft(loaded, tmp_path / "out")
    torch.testing.assert_close(peft_logits(tmp_path / "out", base, True, 1e-7), expected, atol=1e-4, rtol=0)
    assert (
        json.loads((tmp_path / "out" / "adapter_config.json").read_text())["base_model_name_or_path"] == base
    )


def test_a_given_base_is_compared(tiny_checkpoint, tmp_path, capsys):
    save_world(tmp_path / "adapter", tiny_checkpoint)
    command = [
        "export",
        "--exp",
        str(tmp_path / "adapter"),
        "--to",
        "peft",
        "--out",
        str(tmp_path / "out"),
        "--base",
    ]
    others = {"same": tiny_checkpoint, "other": write_tiny_checkpoint(tmp_path / "b.pt", seed=1)}
    others["deeper"] = write_tiny_checkpoint(tmp_path / "c.pt", layers=2)
    for name, checkpoint in others.items():
        export_hf(save_world(tmp_path / f"frozen_{name}", checkpoint, "frozen"), tmp_path / name)
    capsys.readouterr()
    assert main([*command, str(tmp_path / "other")]) == 1
    assert (
        "other is another model: its 'feature_extractor.conv_layers.0.conv.weight' differs"
        in capsys.readouterr().err
    )
    assert main([*command, str(tmp_path / "deeper")]) == 1
    assert "deeper is another model: its '" in capsys.readouterr().err
    assert main([*command, str(tmp_path / "nowhere")]) == 1
    assert "nowhere cannot be loaded" in capsys.readouterr().err
    assert main([*command, str(tmp_path / "same"), "--with_base", "true"]) == 1
    assert "give one of them" in capsys.readouterr().err
    assert not (tmp_path / "out").exists()
    assert main([*command, str(tmp_path / "same")]) == 0
    assert str(tmp_path / "same") in (tmp_path / "out" / "README.md").read_text()


@pytest.mark.parametrize(
    "spec, options, family, message",
    [
        (
            "bitfit",
            {},
            "hubert",
            "one LoRA adapter .*, and --peft is bitfit; --to hf writes the merged model",
        ),
        ("lora+adapterbias", {}, "hubert", "and --peft is lora.adapterbias"),
        ("lora+weighted_sum", {}, "hubert", "does not read the last hidden state alone"),
        ("lora", {}, "wavlm", "LoRA on q, v would do nothing in transformers' WavLM, .*--to hf"),
        ("lora", {}, "decoar2", "of the family decoar2"),
    ],
)
def test_what_peft_has_no_place_for(spec, options, family, message, tiny_checkpoints, tmp_path):
    loaded = save_world(tmp_path / "adapter", tiny_checkpoints[family], spec, options)
    with pytest.raises(UserError, match=message):
        export_peft(loaded, tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_lora_in_the_attention_of_transformers_wavlm_is_inert():
    """The reason for refusing it: to be dropped when transformers calls the modules."""
    import transformers
    from peft import LoraConfig, get_peft_model

    torch.manual_seed(0)
    small = {"hidden_size": 16, "num_hidden_layers": 1, "num_attention_heads": 2, "intermediate_size": 16}
    config = transformers.WavLMConfig(
        **small, conv_dim=[8] * 7, num_conv_pos_embedding_groups=2, mask_time_prob=0.0
    )
    model = transformers.WavLMModel(config).eval()
    wavs = torch.randn(1, 4000)
    with torch.no_grad():
        before = model(wavs).last_hidden_state
        adapted = get_peft_model(model, LoraConfig(target_modules=["q_proj", "v_proj", "out_proj"])).eval()
        for name, parameter in adapted.named_parameters():
            if "lora_B" in name:
                parameter.normal_()
        assert torch.equal(adapted(wavs).last_hidden_state, before)


def test_families_have_classes():
    import transformers

    for stem, prefix in CLASSES.values():
        assert getattr(transformers, f"{stem}ForCTC").base_model_prefix == prefix
