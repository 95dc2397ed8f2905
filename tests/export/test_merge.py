"""``peft-asr merge``."""

import pytest
import torch

from peft_asr.bin.main import main
from peft_asr.config import UpstreamConfig
from peft_asr.decode.recogniser import find_adapter
from peft_asr.errors import UserError
from peft_asr.export.merge import merge_experiment
from peft_asr.files import read_json
from peft_asr.report.adapter import describe_adapter
from peft_asr.tasks.adapter import load_adapter
from peft_asr.upstream import load_upstream
from peft_asr.upstream.safe_load import read_checkpoint
from tests.decode.small_world import noise
from tests.export.worlds import LORAS, logits_of, save_world
from tests.tiny import FAMILIES

CASES = [(spec, options, "hubert") for spec, options in [*LORAS, ("bitfit", {}), ("lora", {"init": "pissa"})]]
CASES += [("full", {}, family) for family in FAMILIES] + [("lora_all", {}, family) for family in FAMILIES]


def weights_of(state: dict) -> dict[str, torch.Tensor]:
    """The tensors of a checkpoint, under whatever key its family has them."""
    section = next(v for k, v in state.items() if k in ("model_weight", "model", "Distiller"))
    return {key: tensor for key, tensor in section.items() if isinstance(tensor, torch.Tensor)}


@pytest.mark.parametrize("spec, options, family", CASES, ids=str)
def test_the_merged_upstream_gives_the_same_logits(spec, options, family, tiny_checkpoints, tmp_path):
    loaded = save_world(tmp_path / "exp" / "adapter", tiny_checkpoints[family], spec, options)
    expected = logits_of(loaded)
    merge_experiment(loaded, tmp_path / "out")
    merged = load_adapter(find_adapter(tmp_path / "out"))
    torch.testing.assert_close(logits_of(merged), expected, atol=1e-4, rtol=0)
    assert merged.config.peft.spec == "frozen" and merged.meta["step"] == 7
    assert sorted(path.name for path in tmp_path.iterdir()) == ["exp", "out"]
    before, after = (
        read_checkpoint(tiny_checkpoints[family]),
        read_checkpoint(tmp_path / "out" / "upstream.pt"),
    )
    assert list(after) == list(before)
    before, after = weights_of(before), weights_of(after)
    assert list(after) == list(before)
    kept = {key for key, tensor in before.items() if torch.equal(tensor, after[key])}
    # What a method does not touch keeps every bit: the convolutions under LoRA, the parts for pre-training under all.
    convolutions = {key for key in before if ".conv_layers." in key}
    assert kept & convolutions == (set() if spec == "full" else convolutions) and len(kept) < len(before)
    assert {
        key for key in before if key.startswith(("mask_emb", "final_proj", "quantizer", "output_layer"))
    } <= kept


def test_the_checkpoint_alone_is_an_upstream(tiny_checkpoint, tmp_path):
    loaded = save_world(tmp_path / "adapter", tiny_checkpoint)
    merge_experiment(loaded, tmp_path / "out")
    encoder = load_upstream(UpstreamConfig(ckpt=str(tmp_path / "out" / "upstream.pt")))
    plain = load_upstream(UpstreamConfig(ckpt=tiny_checkpoint))
    moved = {n for n, t in encoder.state_dict().items() if not torch.equal(t, plain.state_dict()[n])}
    assert moved == {f"layers.{i}.{target}.weight" for i in range(3) for target in "qv"}


def test_it_says_what_it_was_made_from(tiny_checkpoint, tmp_path):
    save_world(tmp_path / "exp" / "adapter", tiny_checkpoint, "lora", {"rank": 4})
    assert main(["merge", "--exp", str(tmp_path / "exp"), "--out", str(tmp_path / "out")]) == 0
    origin = describe_adapter(str(tmp_path / "out"))["origin"]
    assert (origin["made_by"], origin["method"]) == ("merge", "lora")
    assert origin["options"]["lora"]["rank"] == 4
    assert origin["upstream"] == read_json(tmp_path / "exp" / "adapter" / "adapter.json")["upstream"]


def test_random_weights_are_written_as_they_are(tiny_checkpoint, tmp_path):
    import dataclasses

    from peft_asr.tasks import build
    from peft_asr.tasks.adapter import save_adapter

    loaded = save_world(tmp_path / "a", tiny_checkpoint)
    config = dataclasses.replace(
        loaded.config, upstream=dataclasses.replace(loaded.config.upstream, random_init=True)
    )
    save_adapter(
        tmp_path / "b", build(config, loaded.tokenizer), config, loaded.tokenizer, step=1, metrics={}
    )
    loaded = load_adapter(tmp_path / "b")
    expected = logits_of(loaded)
    merge_experiment(loaded, tmp_path / "out")
    torch.testing.assert_close(
        logits_of(load_adapter(tmp_path / "out" / "adapter")), expected, atol=1e-4, rtol=0
    )


@pytest.mark.parametrize(
    "spec, message",
    [
        ("weighted_sum", "'weighted_sum' cannot be merged: it averages hidden states"),
        ("lora+weighted_sum", "'weighted_sum' cannot be merged"),
        ("frozen", "--peft frozen changes nothing in the upstream .or was merged already"),
    ],
)
def test_what_cannot_be_merged_says_why(spec, message, tiny_checkpoint, tmp_path):
    loaded = save_world(tmp_path / "adapter", tiny_checkpoint, spec)
    with pytest.raises(UserError, match=message):
        merge_experiment(loaded, tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_merging_a_merged_one_is_an_error(tiny_checkpoint, tmp_path, capsys):
    save_world(tmp_path / "a", tiny_checkpoint)
    assert main(["merge", "--exp", str(tmp_path / "a"), "--out", str(tmp_path / "b")]) == 0
    assert main(["merge", "--exp", str(tmp_path / "b"), "--out", str(tmp_path / "c")]) == 1
    assert "was merged already" in capsys.readouterr().err
    assert main(["merge", "--exp", str(tmp_path / "a"), "--out", str(tmp_path / "b")]) == 1
    assert f"{tmp_path / 'b'} exists already" in capsys.readouterr().err


def test_diverged_weights_are_refused(tiny_checkpoint, tmp_path):
    loaded = save_world(tmp_path / "a", tiny_checkpoint, "full")
    with torch.no_grad():
        loaded.model.encoder.layers[0].fc1.bias[0] = float("nan")
    with pytest.raises(UserError, match="'encoder.layers.0.fc1.bias' holds weights that are NaN"):
        merge_experiment(loaded, tmp_path / "b")


def test_transcribe_uses_the_merged_one(tiny_checkpoint, tmp_path, capsys):
    import soundfile

    soundfile.write(tmp_path / "a.wav", noise(16000, seed=1), 16000)
    save_world(tmp_path / "a", tiny_checkpoint)
    assert main(["transcribe", "--exp", str(tmp_path / "a"), str(tmp_path / "a.wav")]) == 0
    expected = capsys.readouterr().out
    main(["merge", "--exp", str(tmp_path / "a"), "--out", str(tmp_path / "b")])
    capsys.readouterr()
    assert main(["transcribe", "--exp", str(tmp_path / "b"), str(tmp_path / "a.wav")]) == 0
    assert capsys.readouterr().out == expected and expected.strip()
