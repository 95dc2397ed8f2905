"""The targets of utterances, and which utterances a training can use."""

import logging
from collections import Counter
from collections.abc import Callable
from typing import Any

from peft_asr.data.tables import counted
from peft_asr.errors import UserError

logger = logging.getLogger(__name__)


def label(utterances: list, task: Any, role: str, name: str) -> list:
    """Give every utterance its labels; those without a target are left out of a training or validation set.

    Args:
        utterances: ``Utterance``s with text and language.
        task: a ``Task``.
        role: ``train``, ``valid`` or ``test``.
        name: of the set, for messages.

    Returns:
        The utterances that stay.

    Raises:
        UserError: something in a training set has no token; no utterance is left.
    """
    unknown: Counter[str] = Counter()
    first = ""  # utterance with one
    without = []
    for utterance in utterances:
        if found := task.unknown(utterance.text, utterance.lang):
            first = first or utterance.utt_id
            unknown.update(set(found))
        labels = task.labels(utterance.text, utterance.lang)
        if labels is None:
            without.append(utterance.utt_id)
        utterance.labels = labels or []
    if unknown and role == "train":
        raise UserError(
            f"{name}: {counted(len(unknown), 'symbol')} not among the {task.classes} tokens: {_listed(unknown)} (the "
            f"first is '{first}'); make the list from this text (stage 2) or clean the text"
        )
    if unknown:
        logger.warning(
            "%s: %s not in the token list; they become <unk> and count as errors: %s",
            name,
            counted(len(unknown), "symbol"),
            _listed(unknown),
        )
    if without and role != "test":
        utterances = _without(utterances, without, name, "have a word that is not in the lexicon")
    return utterances


def alignable(utterances: list, task: Any, num_frames: Callable[[int], int], name: str) -> list:
    """The utterances for which CTC has a path.

    Args:
        num_frames: samples -> frames of the model's output, after the head.

    Raises:
        UserError: there are none.
    """
    needed = {u.utt_id: frames_needed(u.labels) if task.ctc else 1 for u in utterances}
    dropped = [u.utt_id for u in utterances if num_frames(u.samples) < needed[u.utt_id]]
    return (
        _without(utterances, dropped, name, "have more labels than the output has frames")
        if dropped
        else utterances
    )


def frames_needed(labels: list[int]) -> int:
    """The shortest CTC path: one frame a label, and a blank between equal neighbours."""
    return len(labels) + sum(a == b for a, b in zip(labels, labels[1:], strict=False))


def _listed(symbols: Counter[str]) -> str:
    """``'é' (U+00E9) in 3 utterances, '[deu]' in 1 utterance``, the most frequent first."""
    ordered = sorted(symbols.items(), key=lambda item: (-item[1], item[0]))
    return ", ".join(
        f"{symbol!r}{f' (U+{ord(symbol):04X})' if len(symbol) == 1 else ''} in {counted(count, 'utterance')}"
        for symbol, count in ordered
    )


def _without(utterances: list, dropped: list[str], name: str, why: str) -> list:
    if len(dropped) == len(utterances):
        raise UserError(f"{name}: all {len(dropped)} utterances {why}, e.g. '{dropped[0]}'")
    logger.warning(
        "%s: %d of %d utterances %s and are left out: %s",
        name,
        len(dropped),
        len(utterances),
        why,
        ", ".join(sorted(dropped)),
    )
    return [u for u in utterances if u.utt_id not in set(dropped)]
