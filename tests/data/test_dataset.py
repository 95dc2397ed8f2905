"""Which utterances of a dump are used, and with which labels."""

import logging
import shutil

import numpy as np
import pytest
import soundfile

from peft_asr.data.dataset import SpeechDataset, Utterance, _within
from peft_asr.data.dump import dump_audio
from peft_asr.data.labels import frames_needed
from peft_asr.data.loader import collate
from peft_asr.data.tables import read_table, write_table
from peft_asr.errors import UserError
from peft_asr.tasks import get_task
from peft_asr.tasks.asr import AsrTask
from peft_asr.text.build import build
from peft_asr.text.tokenizer import Tokenizer
from tests.data.helpers import make_dir, noise

TEXTS = {"s-a": "one", "s-b": "two two", "s-c": "three"}
SECONDS = {"s-a": 0.2, "s-b": 0.5, "s-c": 1.0}


@pytest.fixture
def dump(tmp_path):
    source = make_dir(tmp_path / "data", TEXTS)
    for utt, seconds in SECONDS.items():
        soundfile.write(source / "audio" / f"{utt}.wav", noise(seconds), 16000)
    dump_audio(source, tmp_path / "dump" / "set")
    return tmp_path / "dump" / "set"


@pytest.fixture
def task():
    return AsrTask(build(TEXTS.values(), "char", 0))


def ids(dataset):
    return [utterance.utt_id for utterance in dataset.utterances]


def test_labels_and_samples(dump, task):
    dataset = SpeechDataset.load(dump, task)
    assert len(dataset) == 3 and dataset.name == "set" and dataset.seconds == pytest.approx(1.7)
    utterance, samples = dataset[1]
    assert (utterance.utt_id, utterance.text, utterance.samples) == ("s-b", "two two", 8000)
    assert [task.tokenizer.tokens[i] for i in utterance.labels] == ["t", "w", "o", "<space>", "t", "w", "o"]
    assert samples.dtype == np.float32 and np.array_equal(samples, noise(0.5))


def test_length_limits_spare_the_test_set(dump, task, caplog):
    caplog.set_level(logging.INFO)
    for role, kept in (("train", ["s-b"]), ("valid", ["s-b"]), ("test", ["s-a", "s-b", "s-c"])):
        assert ids(SpeechDataset.load(dump, task, min_s=0.3, max_s=0.9, role=role)) == kept
    assert (
        f"{dump}: 2 of 3 utterances left out: not between 0.3 and 0.9 s (data.min_s, data.max_s): s-a (0.20 s), "
        "s-c (1.00 s)" in caplog.messages
    )
    with pytest.raises(
        UserError, match=r"none of 3 utterances lasts between 5 and 9 s \(data.min_s, data.max_s\)"
    ):
        SpeechDataset.load(dump, task, min_s=5, max_s=9)


def test_limits_are_inclusive(dump, task):
    assert ids(SpeechDataset.load(dump, task, min_s=0.2, max_s=0.5)) == ["s-a", "s-b"]


def test_a_long_list_is_cut(caplog):
    caplog.set_level(logging.INFO)
    utterances = [Utterance(f"u{i}", "", 16000 * i, "", []) for i in range(9)]
    assert len(_within(utterances, 7, 9, "train")) == 2
    assert caplog.messages[0].endswith("u3 (3.00 s), u4 (4.00 s) and 2 more")


def test_unknown_characters_in_training_are_all_named(dump):
    task = AsrTask(build(["one two"], "char", 0))
    with pytest.raises(UserError) as caught:
        SpeechDataset.load(dump, task, role="train")
    assert str(caught.value) == (
        f"{dump}: 2 symbols not among the 8 tokens: 'h' (U+0068) in 1 utterance, 'r' (U+0072) in 1 utterance (the "
        "first is 's-c'); make the list from this text (stage 2) or clean the text"
    )


@pytest.mark.parametrize("role", ["valid", "test"])
def test_unknown_characters_elsewhere_become_unk(dump, role, caplog):
    task = AsrTask(build(["one two"], "char", 0))
    dataset = SpeechDataset.load(dump, task, role=role)
    assert dataset.utterances[2].labels.count(1) == 2  # h, r
    (message,) = [m for m in caplog.messages if "<unk>" in m]
    assert "2 symbols" in message and "'h' (U+0068) in 1 utterance, 'r' (U+0072) in 1 utterance" in message


def test_frames_needed():
    assert [frames_needed(x) for x in ([], [2], [2, 3], [2, 2], [2, 2, 2, 3])] == [0, 1, 2, 3, 6]


def test_more_labels_than_frames_is_named_and_dropped_in_training_only(dump, task, caplog):
    def num_frames(samples):
        return {3200: 3, 8000: 6, 16000: 6}[samples]

    # "one" needs 3, "two two" 7, "three" 5 labels + 1 blank between the e's.
    assert ids(SpeechDataset.load(dump, task, num_frames=num_frames, role="train")) == ["s-a", "s-c"]
    (message,) = caplog.messages
    assert (
        message
        == f"{dump}: 1 of 3 utterances have more labels than the output has frames and are left out: s-b"
    )
    for role in ("valid", "test"):
        assert len(SpeechDataset.load(dump, task, num_frames=num_frames, role=role)) == 3
    with pytest.raises(
        UserError, match="all 3 utterances have more labels than the output has frames, e.g. 's-a'"
    ):
        SpeechDataset.load(dump, task, num_frames=lambda samples: 2, role="train")


def test_stage_2_has_not_been_run(tmp_path, task):
    with pytest.raises(
        UserError, match=r"is missing or unfinished: run stage 2 first \(--stage 2 --stop_stage 2\)"
    ):
        SpeechDataset.load(tmp_path / "nowhere", task)


def test_tables_that_disagree(dump, task):
    write_table(dump / "text", {"s-a": "one", "s-b": "two"})
    with pytest.raises(
        UserError, match=r"text and .*wav.scp differ in 1 utterances, e.g. 's-c'; run stage 2 again"
    ):
        SpeechDataset.load(dump, task)
    write_table(dump / "text", TEXTS)
    write_table(dump / "utt2num_samples", {"s-a": "3200", "s-b": "many", "s-c": "16000"})
    with pytest.raises(UserError, match="utt2num_samples: 'many' of 's-b' is no number of samples"):
        SpeechDataset.load(dump, task)


def test_a_test_set_may_lack_text(dump, task):
    (dump / "text").unlink()
    dataset = SpeechDataset.load(dump, task, role="test")
    assert [(u.text, u.labels) for u in dataset.utterances] == [("", [])] * 3
    with pytest.raises(UserError, match="text does not exist"):
        SpeechDataset.load(dump, task, role="valid")


def test_a_dump_may_be_moved(dump, task, tmp_path):
    shutil.move(tmp_path / "dump", tmp_path / "elsewhere")
    dataset = SpeechDataset.load(tmp_path / "elsewhere" / "set", task)
    assert np.array_equal(dataset[0][1], noise(0.2))


def test_a_flac_that_is_gone_or_another(dump, task):
    dataset = SpeechDataset.load(dump, task)
    path = read_table(dump / "wav.scp")["s-a"]
    soundfile.write(path, noise(0.1), 16000)
    with pytest.raises(
        UserError, match=r"of 's-a' has \(1600,\) samples at 16000 Hz, not the 3200 .*run stage 2 again"
    ):
        dataset[0]
    with open(path, "wb"):
        pass
    with pytest.raises(UserError, match="cannot read .*s-a.flac of 's-a'.*run stage 2 again"):
        dataset[0]


def test_languages_are_read_where_the_task_has_them(dump, caplog):
    tokens = Tokenizer("lang", ["<blank>", "<unk>", "[fra]", "[swa]"], languages=["fra", "swa"])
    lid, langs = get_task("lid", tokens), {"s-a": "fra", "s-b": "swa", "s-c": "deu"}
    with pytest.raises(UserError, match=r"has no utt2lang \(lines 'utterance code'\), which this task needs"):
        SpeechDataset.load(dump, lid, role="valid")
    assert [u.lang for u in SpeechDataset.load(dump, lid, role="test").utterances] == [None] * 3
    assert caplog.messages == []
    write_table(dump / "utt2lang", langs)
    assert SpeechDataset.load(dump, AsrTask(build(TEXTS.values(), "char", 0))).utterances[0].lang is None
    with pytest.raises(UserError, match=r"1 symbol not among the 4 tokens: '\[deu\]' in 1 utterance .*'s-c'"):
        SpeechDataset.load(dump, lid, role="train")
    dataset = SpeechDataset.load(dump, lid, role="valid")
    assert [(u.lang, u.labels) for u in dataset.utterances] == [("fra", [2]), ("swa", [3]), ("deu", [1])]
    assert caplog.messages == [
        f"{dump}: 1 symbol not in the token list; they become <unk> and count as errors: '[deu]' in 1 utterance"
    ]
    batch = collate([dataset[0], dataset[2]])
    assert batch.langs == ["fra", "deu"] and batch.labels.tolist() == [[2], [1]]
    write_table(dump / "utt2lang", {"s-a": "fra", "s-b": "swa"})
    with pytest.raises(UserError, match="utt2lang has no language for 's-c'; run stages 1 and 2 again"):
        SpeechDataset.load(dump, lid, role="test")


def test_words_without_phones_leave_training_and_validation_but_not_the_test_set(dump, caplog):
    task = get_task("pr", build(TEXTS.values(), "phone", 0, {"one": "W AH1 N", "three": "TH R IY1"}))
    for role in ("train", "valid"):
        caplog.clear()
        assert ids(SpeechDataset.load(dump, task, role=role)) == ["s-a", "s-c"]
        assert caplog.messages == [
            f"{dump}: 1 of 3 utterances have a word that is not in the lexicon and are left out: s-b"
        ]
    assert [u.labels for u in SpeechDataset.load(dump, task, role="test").utterances][1] == []
    empty = get_task("pr", Tokenizer("phone", ["<blank>", "<unk>", "K"], lexicon={"duck": "K"}))
    with pytest.raises(
        UserError, match="all 3 utterances have a word that is not in the lexicon, e.g. 's-a'"
    ):
        SpeechDataset.load(dump, empty)


def test_cross_entropy_needs_one_frame_and_ctc_one_a_label(dump):
    tokens = Tokenizer("lang", ["<blank>", "<unk>", "[fra]"], languages=["fra"])
    write_table(dump / "utt2lang", dict.fromkeys(TEXTS, "fra"))
    for head in ("linear", "pooled"):
        frames = {3200: 0, 8000: 1, 16000: 1}
        kept = SpeechDataset.load(dump, get_task("lid", tokens, head), num_frames=frames.get)
        assert ids(kept) == ["s-b", "s-c"]


def test_unknown_role(dump, task):
    with pytest.raises(ValueError, match="role is train, valid or test, got 'dev'"):
        SpeechDataset.load(dump, task, role="dev")
