"""What every task keeps with every head that it takes: gradients, padding, short utterances, saving."""

import json
import math

import pytest
import torch

from peft_asr.config import Config, HeadConfig, PeftConfig, UpstreamConfig
from peft_asr.data.batch import Batch
from peft_asr.errors import UserError
from peft_asr.heads import HEADS
from peft_asr.tasks import TASKS, build, get_task, task_class
from peft_asr.tasks.adapter import load_adapter, save_adapter
from tests.tasks.test_tasks import LISTS
from tests.tiny import random_wavs

SIZES = {"projection": 8, "hidden": 8, "attention_heads": 2, "feedforward": 16}
TEXTS = {"asr": ["ab a", "b"], "pr": ["the", "duck"], "lid": ["", ""], "asr_lid": ["ab a", "b"]}
LANGS = ["fra", "swa"]


def takes(task: str, head: str) -> bool:
    try:
        return bool(task_class(task, head))
    except UserError:
        return False


PAIRS = [(task, head) for task in TASKS for head in HEADS if takes(task, head)]
over_all = pytest.mark.parametrize(("task", "head"), PAIRS)


def make(task: str, head: str, checkpoint: str):
    upstream = UpstreamConfig(name="hubert", ckpt=checkpoint)
    config = Config(
        seed=3, task=task, upstream=upstream, peft=PeftConfig("lora"), head=HeadConfig(head, **SIZES)
    )
    return config, build(config, LISTS[task]), get_task(task, LISTS[task], head)


def make_batch(task, samples: list[int]) -> Batch:
    wavs, lengths = random_wavs(samples)
    labels = [task.labels(text, lang) for text, lang in zip(TEXTS[task.name], LANGS, strict=True)]
    counts = torch.tensor([len(ids) for ids in labels])
    padded = torch.nn.utils.rnn.pad_sequence([torch.tensor(ids) for ids in labels], batch_first=True)
    return Batch(["u", "v"], wavs, lengths, padded, counts, TEXTS[task.name], LANGS)


def train(model, task) -> set[str]:
    """Two steps; returns the tensors that had a gradient."""
    optimizer = torch.optim.AdamW([p for p in model.parameters() if p.requires_grad], lr=1e-2)
    moved = set()
    model.train()
    for _ in range(2):
        batch = make_batch(task, [20000, 16000])
        optimizer.zero_grad(set_to_none=True)
        loss = task.loss(*model(batch.inputs, batch.wav_lengths), batch)
        assert math.isfinite(loss.item())
        loss.backward()
        moved |= {n for n, p in model.named_parameters() if p.grad is not None and p.grad.abs().sum() > 0}
        assert all(p.grad.isfinite().all() for p in model.parameters() if p.grad is not None)
        optimizer.step()
    model.eval()
    return moved


def test_only_lid_takes_pooled_heads():
    assert {task for task, head in PAIRS if HEADS[head].pooled} == {"lid"}
    assert {head for task, head in PAIRS if task == "lid"} == set(HEADS)


@over_all
def test_trains_pads_and_comes_back(task, head, tiny_checkpoint, tmp_path):
    config, model, meaning = make(task, head, tiny_checkpoint)
    assert train(model, meaning) == {n for n, p in model.named_parameters() if p.requires_grad}

    # 0.1 s among longer ones: what it is alone, and as many frames as the model says.
    wavs, lengths = random_wavs([12000, 5000, 1600])
    with torch.no_grad():
        together, frames = model(wavs, lengths)
        assert frames.tolist() == [model.num_frames(n) for n in lengths.tolist()] and frames[2] >= 1
        for i, n in enumerate(lengths.tolist()):
            alone, _ = model(wavs[i : i + 1, :n], lengths[i : i + 1])
            torch.testing.assert_close(together[i, : frames[i]], alone[0], atol=5e-5, rtol=0)
    assert len(meaning.hypotheses(together, frames)) == len(meaning.scores(together, frames)) == 3

    save_adapter(tmp_path / "adapter", model, config, LISTS[task], step=2, metrics={})
    loaded = load_adapter(tmp_path / "adapter")
    assert loaded.tokenizer.state() == LISTS[task].state()
    with torch.no_grad():
        assert torch.equal(loaded.model(wavs, lengths)[0], together)
    # What was left to the head is written out, so a later default changes nothing.
    assert loaded.config.head.dropout is not None or "dropout" not in HEADS[head].defaults


def test_too_many_labels_are_counted_after_the_stride(tiny_checkpoint):
    _, model, task = make("asr", "transformer", tiny_checkpoint)
    _, whole, _ = make("asr", "linear", tiny_checkpoint)
    wavs, lengths = random_wavs([16000])
    with torch.no_grad():
        assert (
            model(wavs, lengths)[1].item()
            == model.num_frames(16000)
            == (whole.num_frames(16000) + 1) // 2
            == 25
        )


def test_an_adapter_of_the_first_format_still_loads(tiny_checkpoint, tmp_path):
    config, model, _ = make("asr", "linear", tiny_checkpoint)
    config.head = HeadConfig("linear")
    model = build(config, LISTS["asr"])
    save_adapter(tmp_path, model, config, LISTS["asr"], step=1, metrics={})
    meta = json.loads((tmp_path / "adapter.json").read_text())
    # Its heads shared one set of defaults.
    old = {"name": "linear", "projection": 1024, "hidden": 1024, "layers": 2, "dropout": 0.2}
    (tmp_path / "adapter.json").write_text(
        json.dumps({**meta, "format": 1, "config": {**meta["config"], "head": old}})
    )
    wavs, lengths = random_wavs([9000])
    with torch.no_grad():
        assert torch.equal(load_adapter(tmp_path).model(wavs, lengths)[0], model(wavs, lengths)[0])
    (tmp_path / "adapter.json").write_text(json.dumps({**meta, "format": 9}))
    with pytest.raises(UserError, match="is not an adapter of format 2 or 1"):
        load_adapter(tmp_path)
