"""Clause 5: saved and loaded in a fresh process, the logits are the same bit for bit; a wrong file is an error."""

import json
import shutil
import subprocess
import sys

import pytest
import torch
from safetensors.torch import load_file, save_file

from peft_asr.errors import UserError
from peft_asr.tasks.adapter import load_adapter, save_adapter
from tests.contract.cases import CASES_ONE_FAMILY, FAMILIES, TOKENS, Case, make_batch
from tests.contract.checks import _steps
from tests.tiny import random_wavs, write_tiny_checkpoint

PROGRAM = """
import sys, torch
from peft_asr.tasks.adapter import load_adapter
from tests.tiny import random_wavs
wavs, lengths = random_wavs([9000, 5000])
with torch.no_grad():
    torch.save({path: load_adapter(path).model(wavs, lengths)[0] for path in sys.argv[2:]}, sys.argv[1])
"""

# Every method on one family, and one method on every family.
SAVED = [*CASES_ONE_FAMILY, *(Case("lora+weighted_sum", family) for family in FAMILIES)]


def trained(case: Case, checkpoint: str, folder) -> tuple:
    model = case.build(checkpoint).train()
    for _ in _steps(model, 2):
        pass
    model.eval()
    save_adapter(folder, model, case.config(checkpoint), TOKENS, step=2, metrics={"wer": 50.0})
    return model, folder


def test_a_fresh_process_gives_the_same_logits(tiny_checkpoints, tmp_path):
    wavs, lengths = random_wavs([9000, 5000])
    expected = {}
    for index, case in enumerate(SAVED):
        model, folder = trained(case, tiny_checkpoints[case.family], tmp_path / f"{index}")
        with torch.no_grad():
            expected[str(folder)] = model(wavs, lengths)[0]
    out = tmp_path / "logits.pt"
    subprocess.run([sys.executable, "-W", "ignore", "-c", PROGRAM, str(out), *expected], check=True)
    loaded = torch.load(out, weights_only=True)
    for case, (folder, logits) in zip(SAVED, expected.items(), strict=True):
        assert torch.equal(loaded[folder], logits), str(case)


def test_saving_again_gives_the_same_bytes(tiny_checkpoint, tmp_path):
    _, folder = trained(Case("lora", "hubert"), tiny_checkpoint, tmp_path / "a")
    loaded = load_adapter(folder)
    save_adapter(tmp_path / "b", loaded.model, loaded.config, loaded.tokenizer, step=2, metrics={"wer": 50.0})
    for name in ("adapter.safetensors", "adapter.json"):
        assert (tmp_path / "b" / name).read_bytes() == (folder / name).read_bytes()


def test_an_adapter_is_small_and_tells_what_it_is(tiny_checkpoint, tmp_path):
    model, folder = trained(Case("lora", "hubert"), tiny_checkpoint, tmp_path / "a")
    numbers = sum(p.numel() for p in model.parameters() if p.requires_grad)
    assert (folder / "adapter.safetensors").stat().st_size <= 1.02 * 4 * numbers + 65536
    meta = json.loads((folder / "adapter.json").read_text())
    assert meta["trainable"] == {
        "total": numbers,
        "head": 32 * 6 + 6,
        "method": 3 * 2 * 8 * 64,
        "backbone": 0,
    }
    assert meta["upstream"]["sha256"] == model.upstream_hash and meta["boundary"] == "layer:0"


@pytest.fixture
def saved(tiny_checkpoint, tmp_path):
    return trained(Case("lora", "hubert"), tiny_checkpoint, tmp_path / "adapter")[1]


def rewrite(folder, change):
    """Other tensors, as an adapter of before their hash was kept."""
    state = load_file(folder / "adapter.safetensors")
    change(state)
    save_file(state, folder / "adapter.safetensors")
    meta = json.loads((folder / "adapter.json").read_text())
    del meta["tensors_sha256"]
    (folder / "adapter.json").write_text(json.dumps(meta))


def test_a_missing_tensor_is_an_error(saved):
    rewrite(saved, lambda state: state.pop("head.output.bias"))
    with pytest.raises(UserError, match="lacks 'head.output.bias'"):
        load_adapter(saved)


def test_an_unknown_tensor_is_an_error(saved):
    rewrite(saved, lambda state: state.update({"head.output.bais": torch.zeros(6)}))
    with pytest.raises(UserError, match=r"'head.output.bais'.*did you mean 'head.output.bias'"):
        load_adapter(saved)


def test_another_shape_is_an_error(saved):
    rewrite(saved, lambda state: state.update({"head.output.bias": torch.zeros(7)}))
    with pytest.raises(UserError, match=r"shape \(7,\) in the checkpoint, \(6,\)"):
        load_adapter(saved)


def test_another_upstream_is_an_error(saved, tmp_path):
    other = write_tiny_checkpoint(tmp_path / "other.pt", "hubert", seed=1)
    with pytest.raises(UserError, match="was trained on the upstream hubert .*--upstream_ckpt"):
        load_adapter(saved, upstream_ckpt=other)


def test_a_moved_upstream_is_found_by_option(saved, tiny_checkpoint, tmp_path):
    moved = tmp_path / "moved.pt"
    shutil.copy(tiny_checkpoint, moved)
    batch = make_batch([9000])
    with torch.no_grad():
        a = load_adapter(saved).model(batch.inputs, batch.wav_lengths)[0]
        b = load_adapter(saved, upstream_ckpt=str(moved)).model(batch.inputs, batch.wav_lengths)[0]
    assert torch.equal(a, b)


def test_a_flipped_bit_is_an_error(saved):
    content = bytearray((saved / "adapter.safetensors").read_bytes())
    content[-1] ^= 1  # of a value: the file reads like any other
    (saved / "adapter.safetensors").write_bytes(content)
    load_file(saved / "adapter.safetensors")
    with pytest.raises(UserError, match="adapter.safetensors is corrupt: its SHA-256 is .* copy both again"):
        load_adapter(saved)


def test_an_adapter_without_the_hash_loads(saved):
    rewrite(saved, lambda state: None)
    assert load_adapter(saved).meta["peft"] == "lora"


@pytest.mark.parametrize("name", ["adapter.safetensors", "adapter.json"])
def test_a_cut_file_is_an_error(saved, name):
    whole = (saved / name).read_bytes()
    (saved / name).write_bytes(whole[: len(whole) // 2])
    with pytest.raises(UserError, match=name):
        load_adapter(saved)


@pytest.mark.parametrize(
    "change", [{"config": None}, {"upstream": "mini"}, {"upstream": {}}, {"tokenizer": 3}]
)
def test_a_damaged_description_is_an_error(saved, change):
    meta = json.loads((saved / "adapter.json").read_text())
    (saved / "adapter.json").write_text(json.dumps({**meta, **change}))
    with pytest.raises(UserError, match="adapter.json is damaged: it has no"):
        load_adapter(saved)


def test_an_empty_directory_is_an_error(tmp_path):
    with pytest.raises(UserError, match="no adapter in"):
        load_adapter(tmp_path)


def test_saving_over_an_adapter_replaces_it_whole(tiny_checkpoint, tmp_path):
    folder = tmp_path / "adapter"
    trained(Case("frozen", "hubert"), tiny_checkpoint, folder)
    trained(Case("lora", "hubert"), tiny_checkpoint, folder)
    assert load_adapter(folder).meta["peft"] == "lora"
    assert [p.name for p in tmp_path.iterdir()] == ["adapter"]
