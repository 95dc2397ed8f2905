"""Which utterances make which batch: both sides see the same ones, in as many steps."""

import numpy as np
from torch.utils.data import DataLoader

from peft_asr.bench.setting import Setting
from peft_asr.config import Config
from peft_asr.data.dataset import SpeechDataset, Utterance
from peft_asr.data.loader import SpeechLoader
from peft_asr.errors import UserError
from peft_asr.tasks import get_task
from peft_asr.tasks.task import Task
from peft_asr.text.tokenizer import Tokenizer

LIMIT_S = 240.0  # no utterance is left out


def load_task(setting: Setting) -> Task:
    """The task of the corpus: characters."""
    return get_task("asr", Tokenizer.load(str(setting.corpus / "tokens")))


def training_batches(setting: Setting, grouped: bool) -> tuple[SpeechDataset, list[list[int]]]:
    """The dataset, and the utterances of each of ``warmup + steps`` batches.

    Args:
        grouped: batches exactly as our own loader forms them, of like lengths. Otherwise these same utterances in
            random order, in as many batches of as equal a number as can be; warm-up and counted steps apart.

    Raises:
        UserError: the corpus has fewer batches.
    """
    options = Config().data
    dataset = SpeechDataset.load(
        setting.corpus / "train", load_task(setting), role="train", min_s=options.min_s, max_s=LIMIT_S
    )
    batches = SpeechLoader(dataset, setting.batch_s, setting.seed, True, options.buckets).batches(1)
    wanted = setting.warmup + setting.steps
    if len(batches) < wanted:
        raise UserError(
            f"the corpus has {len(batches)} batches of {setting.batch_s:g} s, not the {wanted} of --steps "
            f"{setting.steps} and {setting.warmup} of warm-up; give fewer --steps or a smaller --batch_s"
        )
    parts = batches[: setting.warmup], batches[setting.warmup : wanted]
    if not grouped:
        parts = tuple(_shuffled(part, setting.seed) for part in parts)
    return dataset, [*parts[0], *parts[1]]


def _shuffled(batches: list[list[int]], seed: int) -> list[list[int]]:
    if not batches:
        return []
    order = np.random.default_rng(seed).permutation([index for batch in batches for index in batch])
    return [part.tolist() for part in np.array_split(order, len(batches))]


def loaded(dataset: SpeechDataset, batches: list[list[int]], collate) -> DataLoader:
    """An opponent's loader: ``collate([(Utterance, samples), ...])`` of each batch, in one background process.

    Our own loader has one such process too.
    """
    return DataLoader(dataset, batch_sampler=batches, collate_fn=collate, num_workers=1)


def seconds_of(utterances: list[Utterance]) -> float:
    """Seconds of speech, without padding."""
    return sum(utterance.samples for utterance in utterances) / 16000
