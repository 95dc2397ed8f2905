"""Batches by seconds: utterances of like length together, in an order that only seed and epoch decide."""

from collections.abc import Iterator

import numpy as np
import torch
from torch.utils.data import DataLoader

from peft_asr.data.audio import SAMPLE_RATE_HZ
from peft_asr.data.batch import Batch
from peft_asr.data.dataset import SpeechDataset
from peft_asr.errors import UserError


class SpeechLoader:
    """Cuts a dataset into batches and loads them in background processes.

    Args:
        dataset: the utterances.
        batch_s: seconds in a batch, padding included: longest utterance x size. An utterance longer than that
            is a batch of its own.
        seed: of the order.
        shuffle: a new order each epoch. Otherwise from long to short, each utterance once, always the same.
        buckets: shuffled utterances are drawn from so many classes of like length: more classes pad less,
            fewer mix better.
        num_workers: loading processes; 0 loads in this one. Has no influence on the batches.
        rank, world: this process is one of ``world`` that train together and loads its share of every batch.
    """

    def __init__(
        self,
        dataset: SpeechDataset,
        batch_s: float,
        seed: int = 0,
        shuffle: bool = True,
        buckets: int = 10,
        num_workers: int = 1,
        rank: int = 0,
        world: int = 1,
    ):
        for name, value, least in (
            ("data.batch_s", batch_s, 1e-3),
            ("seed", seed, 0),
            ("data.buckets", buckets, 1),
        ):
            if value < least:
                raise UserError(f"{name} is at least {least:g}, got {value}")
        self.dataset = dataset
        self.batch_s = batch_s
        self.seed = seed
        self.shuffle = shuffle
        self.buckets = buckets
        self.num_workers = num_workers
        self.rank = rank
        self.world = world
        self._cached: tuple[int, list[list[int]]] = (-1, [])

    def num_batches(self, epoch: int) -> int:
        """Batches in an epoch; the number may differ a little from epoch to epoch."""
        return len(self.batches(epoch))

    def batches(self, epoch: int) -> list[list[int]]:
        """The indices of the utterances of each batch of an epoch, all shares together."""
        if not self.shuffle:
            epoch = 0
        if self._cached[0] != epoch:
            self._cached = (epoch, self._shuffled(epoch) if self.shuffle else self._sorted())
        return self._cached[1]

    def epoch(self, epoch: int, start_batch: int = 0) -> Iterator[Batch | None]:
        """Yield the batches of an epoch, this process's share of each: None where it has none.

        Args:
            epoch: 0, 1, ...
            start_batch: leave out so many batches without loading them (to go on in the middle of an epoch).

        Raises:
            UserError: a file cannot be read.
        """
        # The DataLoader draws a seed for its workers: from an own generator, to leave the global one alone.
        loader = DataLoader(
            _Loaded(self.dataset, [self.share(batch) for batch in self.batches(epoch)[start_batch:]]),
            batch_size=None,
            num_workers=self.num_workers,
            generator=torch.Generator().manual_seed(self.seed),
        )
        for batch in loader:
            if isinstance(batch, UserError):
                raise batch
            yield batch

    def share(self, batch: list[int]) -> list[int]:
        """What of a batch is this process's: every ``world``-th from long to short, so that shares weigh the same."""
        if self.world == 1:
            return batch
        utterances = self.dataset.utterances
        by_length = sorted(batch, key=lambda i: (-utterances[i].samples, utterances[i].utt_id))
        return by_length[self.rank :: self.world]

    def _shuffled(self, epoch: int) -> list[list[int]]:
        generator = np.random.default_rng([self.seed, epoch])
        utterances = self.dataset.utterances
        by_length = sorted(
            range(len(utterances)), key=lambda i: (utterances[i].samples, utterances[i].utt_id)
        )
        order = [
            int(i)
            for bucket in np.array_split(by_length, self.buckets)
            for i in generator.permutation(bucket)
        ]
        batches = self._fill(order)
        return [batches[i] for i in generator.permutation(len(batches))]

    def _sorted(self) -> list[list[int]]:
        utterances = self.dataset.utterances
        return self._fill(
            sorted(range(len(utterances)), key=lambda i: (-utterances[i].samples, utterances[i].utt_id))
        )

    def _fill(self, order: list[int]) -> list[list[int]]:
        limit = self.batch_s * SAMPLE_RATE_HZ
        batches: list[list[int]] = []
        longest = 0
        for index in order:
            samples = self.dataset.utterances[index].samples
            if batches and max(longest, samples) * (len(batches[-1]) + 1) <= limit:
                batches[-1].append(index)
                longest = max(longest, samples)
            else:
                batches.append([index])
                longest = samples
        return batches


class _Loaded:
    """What the DataLoader's processes work through: batch number -> Batch (None if empty), or the UserError it met.

    An error is handed over as a value because the DataLoader would wrap a raised one into pages of traceback.
    """

    def __init__(self, dataset: SpeechDataset, batches: list[list[int]]):
        self.dataset = dataset
        self.batches = batches

    def __len__(self) -> int:
        return len(self.batches)

    def __getitem__(self, number: int) -> Batch | UserError | None:
        if not self.batches[number]:
            return None
        try:
            return collate([self.dataset[index] for index in self.batches[number]])
        except UserError as err:
            return err


def collate(items: list[tuple]) -> Batch:
    """Pad ``(Utterance, samples)`` pairs with zeros into a batch."""
    utterances = [utterance for utterance, _ in items]
    wav_lengths = torch.tensor([len(samples) for _, samples in items])
    label_lengths = torch.tensor([len(utterance.labels) for utterance in utterances])
    wavs = torch.zeros(len(items), int(wav_lengths.max()))
    labels = torch.zeros(len(items), int(label_lengths.max()), dtype=torch.int64)
    for row, (utterance, samples) in enumerate(items):
        wavs[row, : len(samples)] = torch.from_numpy(samples)
        labels[row, : len(utterance.labels)] = torch.tensor(utterance.labels, dtype=torch.int64)
    return Batch(
        utt_ids=[utterance.utt_id for utterance in utterances],
        wavs=wavs,
        wav_lengths=wav_lengths,
        labels=labels,
        label_lengths=label_lengths,
        texts=[utterance.text for utterance in utterances],
        langs=[utterance.lang for utterance in utterances],
    )
