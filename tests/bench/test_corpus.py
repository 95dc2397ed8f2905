"""The corpus that both sides read, and the batches that they make of it."""

from dataclasses import replace

import numpy as np
import pytest

from peft_asr.bench.corpus import CHARACTERS_PER_S, random_text, read_lengths, write_corpus
from peft_asr.bench.workload import training_batches
from peft_asr.data.tables import read_table
from peft_asr.errors import UserError


def test_the_shipped_lengths_are_those_of_real_speech():
    lengths = read_lengths()
    assert len(lengths) == 320
    assert 1 < min(lengths) and max(lengths) < 35 and 10 < np.mean(lengths) < 13


def test_a_damaged_list_is_named(tmp_path):
    (tmp_path / "lengths.tsv").write_text("set 3.2\n", encoding="utf-8")
    with pytest.raises(UserError, match="lengths.tsv"):
        read_lengths(tmp_path / "lengths.tsv")


@pytest.mark.parametrize("characters", [1, 2, 3, 200])
def test_text_has_its_length_and_single_blanks(characters):
    text = random_text(characters, np.random.default_rng(0))
    assert len(text) == characters and text == " ".join(text.split())
    if characters == 200:
        assert 25 < len(text.split()) < 60


def test_texts_are_as_long_as_the_speech(setting):
    samples = read_table(setting.corpus / "train" / "utt2num_samples")
    for utt, text in read_table(setting.corpus / "train" / "text").items():
        assert len(text) == int(int(samples[utt]) / 16000 * CHARACTERS_PER_S)


def test_random_batches_hold_the_same_utterances(setting):
    around = replace(setting.longer(3), warmup=2)
    around = replace(around, steps=3)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(type(around), "corpus", setting.corpus)
        _, grouped = training_batches(around, grouped=True)
        _, shuffled = training_batches(around, grouped=False)
        with pytest.raises(UserError, match="batches of 2 s, not the 902"):
            training_batches(replace(around, steps=900), grouped=True)
    assert len(grouped) == len(shuffled) == 5
    for part in (slice(0, 2), slice(2, 5)):
        assert sorted(sum(grouped[part], [])) == sorted(sum(shuffled[part], []))
    assert grouped != shuffled
    sizes = [len(batch) for batch in shuffled[2:]]
    assert max(sizes) - min(sizes) <= 1


def test_a_uniform_corpus_fills_every_batch_alike(setting):
    around = setting.uniform(0.5, 3)
    write_corpus(around)
    dataset, batches = training_batches(around, grouped=True)
    assert {len(batch) for batch in batches} == {3}
    assert {utterance.samples for utterance in dataset.utterances} == {8000}
