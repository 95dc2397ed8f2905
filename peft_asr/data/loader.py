"""Batches by seconds: utterances of like length together, in an order that only seed and epoch decide."""

import itertools
from collections.abc import Iterator, Sequence

import numpy as np
import torch
from torch import Tensor
from torch.utils.data import DataLoader

from peft_asr.data.audio import SAMPLE_RATE_HZ
from peft_asr.data.batch import Batch
from peft_asr.data.dataset import SpeechDataset
from peft_asr.data.speed import perturb
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
        speeds: factors of speed, of which each utterance gets one drawn in each epoch; empty: as it is.
        pin: batches are copied to a GPU, which is faster from page-locked memory.
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
        speeds: Sequence[float] = (),
        pin: bool = False,
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
        self.speeds = list(speeds)
        self.pin = pin
        self._cached: dict[int, list[list[int]]] = {}

    def num_batches(self, epoch: int) -> int:
        """Batches in an epoch; the number may differ a little from epoch to epoch."""
        return len(self.batches(epoch))

    def batches(self, epoch: int) -> list[list[int]]:
        """The indices of the utterances of each batch of an epoch, all shares together."""
        if not self.shuffle:
            epoch = 0
        if epoch not in self._cached:
            if len(self._cached) > 3:  # those who load are ahead of those who train, by an epoch's end or two
                self._cached.pop(min(self._cached))
            self._cached[epoch] = self._shuffled(epoch) if self.shuffle else self._sorted()
        return self._cached[epoch]

    def epoch(self, epoch: int, start_batch: int = 0) -> Iterator[Batch | None]:
        """Yield the batches of an epoch, this process's share of each: None where it has none.

        Args:
            epoch: 0, 1, ...
            start_batch: leave out so many batches without loading them (to go on in the middle of an epoch).

        Raises:
            UserError: a file cannot be read.
        """
        return self._load(self._shares(epoch, start_batch))

    def epochs(self, epoch: int, start_batch: int = 0) -> Iterator[Batch | None]:
        """As ``epoch``, and then the following ones without end: no pause while the next one's processes start."""
        later = (self._shares(number) for number in itertools.count(epoch + 1))
        return self._load(
            itertools.chain(self._shares(epoch, start_batch), itertools.chain.from_iterable(later))
        )

    def _shares(self, epoch: int, start_batch: int = 0) -> Iterator[tuple[int, list[int]]]:
        for batch in self.batches(epoch)[start_batch:]:
            yield epoch, self.share(batch)

    def _load(self, shares: Iterator[tuple[int, list[int]]]) -> Iterator[Batch | None]:
        # The DataLoader draws a seed for its workers: from an own generator, to leave the global one alone.
        loader = DataLoader(
            _Loaded(self.dataset, self.speeds, self.seed),
            sampler=shares,
            batch_size=None,
            num_workers=self.num_workers,
            pin_memory=self.pin,
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
    """What the DataLoader's processes work through: (epoch, utterances) -> Batch (None if empty), or the UserError met.

    An error is handed over as a value because the DataLoader would wrap a raised one into pages of traceback.
    """

    def __init__(self, dataset: SpeechDataset, speeds: list[float], seed: int):
        self.dataset = dataset
        self.speeds = speeds
        self.seed = seed

    def __getitem__(self, key: tuple[int, list[int]]) -> Batch | UserError | None:
        epoch, indices = key
        if not indices:
            return None
        try:
            items = [self.dataset[index] for index in indices]
        except UserError as err:
            return err
        if self.speeds:
            items = [(u, perturb(x, self.speeds, self.seed, epoch, u.utt_id)) for u, x in items]
        return collate(items, self.dataset.at)


def collate(items: list[tuple], at: str = "audio") -> Batch:
    """Pad ``(Utterance, samples)`` or ``(Utterance, activations)`` pairs with zeros into a batch."""
    utterances = [utterance for utterance, _ in items]
    label_lengths = torch.tensor([len(utterance.labels) for utterance in utterances])
    labels = torch.zeros(len(items), int(label_lengths.max()), dtype=torch.int64)
    for row, utterance in enumerate(utterances):
        labels[row, : len(utterance.labels)] = torch.tensor(utterance.labels, dtype=torch.int64)
    if at == "audio":
        wav_lengths = torch.tensor([len(samples) for _, samples in items])
    else:
        wav_lengths = torch.tensor([utterance.samples for utterance in utterances])
    return Batch(
        utt_ids=[utterance.utt_id for utterance in utterances],
        inputs=_pad([values for _, values in items]),
        wav_lengths=wav_lengths,
        labels=labels,
        label_lengths=label_lengths,
        texts=[utterance.text for utterance in utterances],
        langs=[utterance.lang for utterance in utterances],
        at=at,
    )


def _pad(arrays: list[np.ndarray]) -> Tensor:
    """B arrays (N,), (T, D) or (S, T, D), zeros after each one's time, as one tensor of their type."""
    time = max(arrays[0].ndim - 2, 0)
    longest = max(array.shape[time] for array in arrays)
    shape = list(arrays[0].shape)
    shape[time] = longest
    padded = torch.zeros(len(arrays), *shape, dtype=torch.from_numpy(arrays[0][:0].copy()).dtype)
    for row, array in enumerate(arrays):
        padded[row].narrow(time, 0, array.shape[time]).copy_(torch.from_numpy(np.array(array, copy=None)))
    return padded
