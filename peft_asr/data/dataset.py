"""The utterances of one dumped data directory: which of them are used, their labels, and their samples."""

import logging
import math
import os
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import soundfile

from peft_asr.data.activations import Activations
from peft_asr.data.audio import SAMPLE_RATE_HZ
from peft_asr.data.labels import alignable, label
from peft_asr.data.tables import read_table
from peft_asr.errors import UserError

logger = logging.getLogger(__name__)


@dataclass
class Utterance:
    """One utterance: its file, its length, its transcript, the token ids of that, and its language if known."""

    utt_id: str
    path: str
    samples: int
    text: str
    labels: list[int]
    lang: str | None = None

    @property
    def seconds(self) -> float:
        """How long it lasts."""
        return self.samples / SAMPLE_RATE_HZ


class SpeechDataset:
    """Utterances in memory, audio on disk. ``dataset[i]`` is ``(Utterance, samples (N,) float32)``.

    Attributes:
        activations: a dump that stands in for the audio; None: there is none.
    """

    def __init__(self, utterances: list[Utterance], name: str = ""):
        self.utterances = utterances
        self.name = name
        self.activations: Activations | None = None

    def start_from(self, activations: Activations) -> None:
        """Yield these instead of samples.

        Raises:
            UserError: an utterance is not in the dump, or its audio has changed since.
        """
        activations.check_audio({u.utt_id: u.path for u in self.utterances})
        self.activations = activations

    @classmethod
    def load(
        cls,
        data_dir: str | os.PathLike,
        task: Any,
        *,
        min_s: float = 0.0,
        max_s: float = math.inf,
        num_frames: Callable[[int], int] | None = None,
        role: str = "train",
    ) -> "SpeechDataset":
        """Read a directory that stage 2 has written.

        Args:
            data_dir: ``dump/audio/<set>``.
            task: a ``Task``; it makes the labels and says whether languages are needed. None leaves labels empty.
            min_s, max_s: shorter and longer utterances are left out of a training or validation set.
            num_frames: samples -> frames of the model's output. With it, a training set leaves out (and names) the
                utterances for which CTC has no path: fewer frames than labels plus a blank between equal
                neighbours.
            role: ``train`` (a character or language outside the token list is an error), ``valid`` or ``test`` (it
                becomes ``<unk>``; a test set is never filtered and may lack ``text`` and ``utt2lang``).

        Raises:
            UserError: stage 2 has not been run or its files disagree; a task with languages finds no ``utt2lang``;
                an unknown character or language in a training set; no utterance is left.
        """
        if role not in ("train", "valid", "test"):
            raise ValueError(f"role is train, valid or test, got {role!r}")
        utterances = _read(Path(data_dir), need_text=role != "test")
        if role != "test":
            utterances = _within(utterances, min_s, max_s, str(data_dir))
        if task is not None:
            if task.languages:
                _read_languages(Path(data_dir), utterances, need=role != "test")
            utterances = label(utterances, task, role, str(data_dir))
            if role == "train" and num_frames is not None:
                utterances = alignable(utterances, task, num_frames, str(data_dir))
        return cls(utterances, name=Path(data_dir).name)

    def __len__(self) -> int:
        return len(self.utterances)

    @property
    def at(self) -> str:
        """Where in the encoder what it yields stands: ``audio``, or the boundary of ``activations``."""
        return "audio" if self.activations is None else self.activations.at

    def __getitem__(self, index: int) -> tuple[Utterance, np.ndarray]:
        """Read the samples of an utterance, or its activations (T, D) or (S, T, D).

        Raises:
            UserError: the file is gone or is not what stage 2 wrote.
        """
        utterance = self.utterances[index]
        if self.activations is not None:
            return utterance, self.activations[utterance.utt_id]
        return utterance, read_samples(utterance)

    @property
    def seconds(self) -> float:
        """Seconds of speech in all utterances."""
        return sum(utterance.samples for utterance in self.utterances) / SAMPLE_RATE_HZ


def read_samples(utterance: Utterance) -> np.ndarray:
    """The samples (N,) float32 of an utterance.

    Raises:
        UserError: the file is gone or is not what stage 2 wrote.
    """
    advice = "; run stage 2 again (--stage 2 --stop_stage 2)"
    try:
        samples, rate_hz = soundfile.read(utterance.path, dtype="float32")
    except (soundfile.LibsndfileError, OSError) as err:
        raise UserError(f"cannot read {utterance.path} of '{utterance.utt_id}': {err}{advice}") from err
    if rate_hz != SAMPLE_RATE_HZ or samples.shape != (utterance.samples,):
        raise UserError(
            f"{utterance.path} of '{utterance.utt_id}' has {samples.shape} samples at {rate_hz} Hz, "
            f"not the {utterance.samples} at {SAMPLE_RATE_HZ} Hz of utt2num_samples{advice}"
        )
    return samples


def _read(data_dir: Path, need_text: bool) -> list[Utterance]:
    # Stage 2 writes wav.scp last: without it the directory is missing or unfinished.
    if not (data_dir / "wav.scp").is_file():
        raise UserError(f"{data_dir} is missing or unfinished: run stage 2 first (--stage 2 --stop_stage 2)")
    scp = read_table(data_dir / "wav.scp")
    samples = read_table(data_dir / "utt2num_samples")
    has_text = need_text or (data_dir / "text").is_file()
    text = read_table(data_dir / "text") if has_text else dict.fromkeys(scp, "")
    for name, table in (("utt2num_samples", samples), ("text", text)):
        odd = sorted(scp.keys() ^ table.keys())
        if odd:
            raise UserError(
                f"{data_dir}/{name} and {data_dir}/wav.scp differ in {len(odd)} utterances, e.g. '{odd[0]}'; "
                "run stage 2 again (--stage 2 --stop_stage 2)"
            )
    odd = [utt for utt, count in samples.items() if not count.isdecimal()]
    if odd:
        raise UserError(
            f"{data_dir}/utt2num_samples: '{samples[odd[0]]}' of '{odd[0]}' is no number of samples; "
            "run stage 2 again (--stage 2 --stop_stage 2)"
        )
    moved = not os.path.exists(next(iter(scp.values())))
    return [
        Utterance(utt, _moved(path, data_dir) if moved else path, int(samples[utt]), text[utt], [])
        for utt, path in scp.items()
    ]


def _read_languages(data_dir: Path, utterances: list[Utterance], need: bool) -> None:
    if not (data_dir / "utt2lang").is_file():
        if need:
            raise UserError(
                f"{data_dir} has no utt2lang (lines 'utterance code'), which this task needs: local/data.sh writes it "
                "in stage 1, or train with --task asr"
            )
        return
    languages = read_table(data_dir / "utt2lang")
    for utterance in utterances:
        if utterance.utt_id not in languages:
            raise UserError(
                f"{data_dir}/utt2lang has no language for '{utterance.utt_id}'; run stages 1 and 2 again"
            )
        utterance.lang = languages[utterance.utt_id]


def _moved(path: str, data_dir: Path) -> str:
    """Where a flac lies after its dump was moved: ``flac/<..>/<utt>.flac`` under the directory itself."""
    return str(data_dir.joinpath(*Path(path).parts[-3:]))


def _within(utterances: list[Utterance], min_s: float, max_s: float, name: str) -> list[Utterance]:
    kept = [u for u in utterances if min_s <= u.seconds <= max_s]
    if not kept:
        raise UserError(
            f"{name}: none of {len(utterances)} utterances lasts between {min_s:g} and {max_s:g} s "
            "(data.min_s, data.max_s)"
        )
    if len(kept) < len(utterances):
        there = {u.utt_id for u in kept}
        dropped = [f"{u.utt_id} ({u.seconds:.2f} s)" for u in utterances if u.utt_id not in there]
        logger.info(
            "%s: %d of %d utterances left out: not between %g and %g s (data.min_s, data.max_s): %s%s",
            name,
            len(dropped),
            len(utterances),
            min_s,
            max_s,
            ", ".join(dropped[:5]),
            f" and {len(dropped) - 5} more" if len(dropped) > 5 else "",
        )
    return kept
