"""Batches: their limit, their order, and that nothing but seed and epoch has an influence."""

import numpy as np
import pytest
import soundfile
import torch

from peft_asr.data.dataset import SpeechDataset, Utterance
from peft_asr.data.loader import SpeechLoader, collate
from peft_asr.errors import UserError
from tests.data.helpers import noise


def on_paper(count=200, seed=0):
    """A dataset without files, for the order alone."""
    lengths = np.random.default_rng(seed).integers(8000, 160000, count)
    return SpeechDataset(
        [Utterance(f"u{n:03d}", "", int(length), "", []) for n, length in enumerate(lengths)]
    )


@pytest.fixture(scope="module")
def on_disk(tmp_path_factory):
    folder = tmp_path_factory.mktemp("flac")
    utterances = []
    for n in range(12):
        samples = noise(0.1 + 0.05 * ((7 * n) % 12), seed=n)
        soundfile.write(folder / f"u{n}.flac", samples, 16000)
        labels = list(range(2, 2 + n % 4))
        utterances.append(Utterance(f"u{n}", str(folder / f"u{n}.flac"), len(samples), f"text {n}", labels))
    return SpeechDataset(utterances)


def same(one, two):
    return (
        one.utt_ids == two.utt_ids
        and one.texts == two.texts
        and all(
            torch.equal(getattr(one, name), getattr(two, name))
            for name in ("inputs", "wav_lengths", "labels", "label_lengths")
        )
    )


@pytest.mark.parametrize("shuffle", [True, False])
@pytest.mark.parametrize("batch_s", [5.0, 20.0, 64.0])
def test_limit_counts_padding_and_each_utterance_comes_once(batch_s, shuffle):
    dataset = on_paper()
    loader = SpeechLoader(dataset, batch_s, shuffle=shuffle)
    for epoch in range(3):
        batches = loader.batches(epoch)
        assert sorted(index for batch in batches for index in batch) == list(range(200))
        assert loader.num_batches(epoch) == len(batches)
        for batch in batches:
            longest = max(dataset.utterances[i].samples for i in batch)
            assert longest * len(batch) <= batch_s * 16000 or len(batch) == 1


def test_long_utterance_is_a_batch_of_its_own():
    dataset = SpeechDataset(
        [Utterance(f"u{n}", "", length, "", []) for n, length in enumerate([16000, 960000, 16000])]
    )
    assert sorted(map(sorted, SpeechLoader(dataset, 2.0).batches(0))) == [[0, 2], [1]]


def test_buckets_save_padding():
    dataset = on_paper(500)
    real = sum(u.samples for u in dataset.utterances)

    def padded(buckets):
        batches = SpeechLoader(dataset, 40.0, buckets=buckets).batches(0)
        return sum(len(b) * max(dataset.utterances[i].samples for i in b) for b in batches)

    assert padded(10) / real < 1.12 < padded(1) / real


def test_order_depends_on_seed_and_epoch_alone():
    dataset = on_paper()
    loader = SpeechLoader(dataset, 20.0, seed=3)
    first, second = loader.batches(0), loader.batches(1)
    assert first != second
    torch.manual_seed(1)
    np.random.seed(1)
    again = SpeechLoader(on_paper(), 20.0, seed=3, num_workers=0)
    assert again.batches(1) == second and again.batches(0) == first
    assert SpeechLoader(dataset, 20.0, seed=4).batches(0) != first


def test_order_does_not_depend_on_the_order_of_the_table():
    dataset = on_paper()
    turned = SpeechDataset(dataset.utterances[::-1])

    def names(data):
        return [[data.utterances[i].utt_id for i in batch] for batch in SpeechLoader(data, 20.0).batches(0)]

    assert names(dataset) == names(turned)


def test_unshuffled_is_long_to_short_in_every_epoch():
    dataset = on_paper()
    loader = SpeechLoader(dataset, 20.0, shuffle=False)
    lengths = [dataset.utterances[i].samples for batch in loader.batches(0) for i in batch]
    assert lengths == sorted(lengths, reverse=True)
    assert loader.batches(5) == loader.batches(0)


def test_batches_hold_what_was_on_disk(on_disk):
    seen = 0
    for batch in SpeechLoader(on_disk, 2.0, num_workers=0).epoch(0):
        assert batch.inputs.dtype == torch.float32 and batch.labels.dtype == torch.int64
        assert batch.inputs.shape == (len(batch.utt_ids), batch.wav_lengths.max())
        for row, utt in enumerate(batch.utt_ids):
            n = int(utt[1:])
            length = int(batch.wav_lengths[row])
            assert np.array_equal(
                batch.inputs[row, :length].numpy(), noise(0.1 + 0.05 * ((7 * n) % 12), seed=n)
            )
            assert not batch.inputs[row, length:].any()
            assert batch.labels[row, : batch.label_lengths[row]].tolist() == list(range(2, 2 + n % 4))
            assert not batch.labels[row, batch.label_lengths[row] :].any()
            assert batch.texts[row] == f"text {n}"
            seen += 1
    assert seen == 12


def test_workers_do_not_change_anything(on_disk):
    alone = list(SpeechLoader(on_disk, 1.5, seed=5, num_workers=0).epoch(2))
    for workers in (1, 2):
        loaded = list(SpeechLoader(on_disk, 1.5, seed=5, num_workers=workers).epoch(2))
        assert len(loaded) == len(alone) > 3
        assert all(same(one, two) for one, two in zip(alone, loaded, strict=True))


@pytest.mark.parametrize("workers", [0, 1])
def test_start_in_the_middle(on_disk, workers):
    loader = SpeechLoader(on_disk, 1.5, num_workers=workers)
    whole = list(loader.epoch(1))
    rest = list(loader.epoch(1, start_batch=2))
    assert len(rest) == len(whole) - 2
    assert all(same(one, two) for one, two in zip(whole[2:], rest, strict=True))
    assert list(loader.epoch(1, start_batch=len(whole))) == []


def test_skipped_batches_are_not_read(on_disk, tmp_path):
    loader = SpeechLoader(on_disk, 1.5, num_workers=0)
    first = loader.batches(0)[0]
    utterances = [
        Utterance(u.utt_id, str(tmp_path / "gone") if i in first else u.path, u.samples, u.text, u.labels)
        for i, u in enumerate(on_disk.utterances)
    ]
    broken = SpeechLoader(SpeechDataset(utterances), 1.5, num_workers=0)
    assert len(list(broken.epoch(0, start_batch=1))) == loader.num_batches(0) - 1
    with pytest.raises(UserError, match="run stage 2 again"):
        list(broken.epoch(0))


def test_global_random_numbers_are_left_alone(on_disk):
    torch.manual_seed(0)
    wanted = torch.rand(3)
    torch.manual_seed(0)
    list(SpeechLoader(on_disk, 1.5, num_workers=1).epoch(0))
    assert torch.equal(torch.rand(3), wanted)


def test_an_error_in_a_worker_is_one_clear_line(on_disk, tmp_path):
    utterances = [*on_disk.utterances[:2], Utterance("lost", str(tmp_path / "lost.flac"), 1600, "x", [2])]
    loader = SpeechLoader(SpeechDataset(utterances), 1.5, num_workers=1)
    with pytest.raises(UserError) as caught:
        list(loader.epoch(0))
    assert "lost.flac of 'lost'" in str(caught.value) and "\n" not in str(caught.value)


def test_collate_without_labels():
    batch = collate([(Utterance("a", "", 3, "", []), np.ones(3, np.float32))])
    assert batch.labels.shape == (1, 0) and batch.label_lengths.tolist() == [0]


@pytest.mark.parametrize(("name", "value"), [("data.batch_s", 0), ("seed", -1), ("data.buckets", 0)])
def test_wrong_options(name, value):
    with pytest.raises(UserError, match=f"^{name} is at least .*, got {value}"):
        SpeechLoader(on_paper(3), **({"batch_s": 1.0} | {name.removeprefix("data."): value}))
