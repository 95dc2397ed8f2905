"""``peft-asr export --to hf``."""

from unittest import mock

import pytest
import soundfile
import torch
from transformers import AutoConfig, AutoFeatureExtractor, AutoModelForCTC, AutoTokenizer, pipeline

from peft_asr.bin.main import main
from peft_asr.errors import UserError
from peft_asr.export.to_hf import export_hf
from peft_asr.tasks.adapter import load_adapter
from peft_asr.text.tokenizer import UNKNOWN_TEXT, Tokenizer
from tests.decode.small_world import noise
from tests.export.worlds import LORAS, MAPPED, TOKENS, logits_of, one_second, save_world
from tests.tiny import CONV, write_tiny_checkpoint
from tests.tiny_hf import write_tiny_hf

CASES = [
    (spec, options, "hubert") for spec, options in [*LORAS, ("bitfit", {}), ("full", {}), ("frozen", {})]
]
CASES += [("lora_all", {}, family) for family in MAPPED]


def same_logits(loaded, folder, normalize: bool, eps: float = 1e-5) -> None:
    """What the directory gives is what the adapter gave before it was merged."""
    expected = logits_of(load_adapter(folder.parent / "adapter"))
    export_hf(loaded, folder)
    theirs = AutoModelForCTC.from_pretrained(folder).eval()
    with torch.no_grad():
        logits = theirs(one_second(normalize, eps)[1]).logits
    torch.testing.assert_close(logits, expected, atol=1e-4, rtol=0)
    assert AutoFeatureExtractor.from_pretrained(folder).do_normalize == normalize


@pytest.mark.parametrize("spec, options, family", CASES, ids=str)
def test_transformers_gives_the_same_logits(spec, options, family, tiny_checkpoints, tmp_path):
    loaded = save_world(tmp_path / "adapter", tiny_checkpoints[family], spec, options)
    same_logits(loaded, tmp_path / "hf", loaded.model.encoder.geometry.normalize)


@pytest.mark.parametrize("family, normalize", [("hf_mhubert", True), ("hf_wavlm", False)])
def test_an_upstream_of_transformers_goes_back(family, normalize, tmp_path):
    name = f"hf:{write_tiny_hf(tmp_path / 'up', family)}"
    same_logits(save_world(tmp_path / "adapter", None, name=name), tmp_path / "hf", normalize, 1e-7)


def test_a_model_without_projection_gets_the_identity(tmp_path):
    with mock.patch("tests.tiny.CONV", CONV.replace("(16,", "(32,")):
        checkpoint = write_tiny_checkpoint(tmp_path / "up.pt")
    same_logits(save_world(tmp_path / "adapter", checkpoint), tmp_path / "hf", False)


@pytest.mark.parametrize("family", ["hubert", "hubert_large", "wavlm"])
def test_the_pipeline_transcribes_the_same_text(family, tiny_checkpoints, tmp_path, capsys):
    save_world(tmp_path / "adapter", tiny_checkpoints[family])
    audio, folder = str(tmp_path / "a.wav"), str(tmp_path / "hf")
    soundfile.write(audio, noise(32000, seed=1), 16000)
    assert main(["transcribe", "--exp", str(tmp_path / "adapter"), audio]) == 0
    expected = capsys.readouterr().out
    assert main(["export", "--exp", str(tmp_path / "adapter"), "--to", "hf", "--out", folder]) == 0
    # Samples and not the path, for which the pipeline needs ffmpeg.
    samples, rate = soundfile.read(audio, dtype="float32")
    text = pipeline("automatic-speech-recognition", model=folder)({"raw": samples, "sampling_rate": rate})[
        "text"
    ]
    # It keeps every space that CTC gives; we join them.
    assert " ".join(text.split()) == expected.strip() and len(set(expected)) > 3


def test_ids_mean_the_same(tiny_checkpoint, tmp_path):
    loaded = save_world(tmp_path / "adapter", tiny_checkpoint)
    export_hf(loaded, tmp_path / "hf")
    theirs, config = (
        AutoTokenizer.from_pretrained(tmp_path / "hf"),
        AutoConfig.from_pretrained(tmp_path / "hf"),
    )
    assert len(theirs) == config.vocab_size == len(TOKENS) and config.pad_token_id == theirs.pad_token_id == 0
    ids = [0, 3, 3, 0, 3, 2, 10, 1, 0]
    assert theirs.decode(ids) == f"aa é{UNKNOWN_TEXT}"
    assert theirs("a bé").input_ids == loaded.tokenizer.encode("a bé")
    assert theirs("az").input_ids == loaded.tokenizer.encode("az") == [3, 1]


@pytest.mark.parametrize(
    "spec, changes, message",
    [
        ("lora", {"name": "blstm"}, "the head is blstm, .* head.name=linear"),
        ("lora", {"projection": 8}, "the head has a projection of 8 .* train with head.projection=0"),
        ("weighted_sum", {}, "--peft weighted_sum the head does not read the last hidden state alone"),
        ("adapterbias", {}, "'adapterbias' cannot be merged: "),
        ("lora", {"tokenizer": Tokenizer("char", ["<blank>", "<unk>", "a", "|"])}, "the token list has '|'"),
        ("lora", {"tokenizer": Tokenizer("phone", ["<blank>", "<unk>", "AA"])}, "tokens are of type phone"),
    ],
)
def test_what_transformers_has_no_place_for(spec, changes, message, tiny_checkpoint, tmp_path):
    loaded = save_world(
        tmp_path / "adapter", tiny_checkpoint, spec, head=changes.pop("name", None), **changes
    )
    with pytest.raises(UserError, match=message):
        export_hf(loaded, tmp_path / "hf")
    assert not (tmp_path / "hf").exists()


@pytest.mark.parametrize(
    "family, message",
    [
        ("decoar2", "of the family decoar2, which transformers has no CTC model of"),
        ("wavlm_ungated", "the weights do not fit transformers' WavLMForCTC"),
    ],
)
def test_upstreams_that_transformers_does_not_have(family, message, tmp_path):
    loaded = save_world(tmp_path / "adapter", write_tiny_checkpoint(tmp_path / "up.pt", family))
    with pytest.raises(UserError, match=message):
        export_hf(loaded, tmp_path / "hf")


def test_another_computation_is_noticed(tiny_checkpoint, tmp_path):
    loaded = save_world(tmp_path / "adapter", tiny_checkpoint)
    loaded.model.encoder.layers[
        1
    ].activation = torch.nn.functional.silu  # which the configuration does not say
    with pytest.raises(UserError, match="HubertModel computes something else from these weights"):
        export_hf(loaded, tmp_path / "hf")


def test_options_of_the_other_format(tiny_checkpoint, tmp_path, capsys):
    save_world(tmp_path / "adapter", tiny_checkpoint)
    command = ["export", "--exp", str(tmp_path / "adapter"), "--out", str(tmp_path / "hf"), "--to"]
    assert main([*command, "hf", "--with_base", "true"]) == 1
    assert "--with_base belong to --to peft" in capsys.readouterr().err
    assert main([*command, "hf"]) == 0 and main([*command, "hf"]) == 1
    assert f"{tmp_path / 'hf'} exists already" in capsys.readouterr().err
