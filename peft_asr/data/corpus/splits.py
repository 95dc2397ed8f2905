"""Which utterance goes into which set."""

import random
import re

from peft_asr.data.corpus.check import Utterance
from peft_asr.errors import UserError, nearest

DEV_NAMES = ("dev", "valid", "validation", "val")
SHARE = 0.1  # of dev and of test, where the corpus has none
_SLACK = 1.5  # how much larger a drawn set may get by one speaker's utterances


def set_names(splits: set[str | None]) -> dict[str | None, str]:
    """The corpus's split -> the set's name: train, dev, test or what it is called there.

    Raises:
        UserError: there are splits, but no train.
    """
    names = {}
    for split in splits - {None}:
        plain = split.lower()
        names[split] = "dev" if plain in DEV_NAMES else re.sub(r"[^\w.+=-]+", "_", plain)
    if names and "train" not in names.values():
        near = next((s for s in sorted(names) if nearest(names[s], ["train"])), None)
        hint = f" ('{near}' is not it)" if near else ""
        raise UserError(
            f"no split is called train{hint}: the corpus has {', '.join(sorted(names))}; wanted: train, one of "
            f"{', '.join(DEV_NAMES)}, and test sets of any name"
        )
    return names


def planned_sets(splits: set[str | None]) -> list[str]:
    """The sets that ``make_sets`` will make, in its order: train, dev, then the test sets."""
    found = set(set_names(splits).values()) or {"test"}
    others = sorted(found - {"train", "dev"}, key=lambda name: (name != "test", name))
    return ["train", "dev", *others]


def make_sets(utterances: list[Utterance], seed: int) -> tuple[dict[str, list[Utterance]], list[str]]:
    """Set name -> utterances, and a note on what was drawn.

    Without splits 80/10/10 by speaker; with a train but no dev set, a tenth of train's speakers become dev.

    Raises:
        UserError: as ``set_names``; too few speakers to draw from.
    """
    splits = {u.row.split for u in utterances}
    names = set_names(splits)
    sets = {name: [] for name in planned_sets(splits)}
    for utterance in utterances:
        sets[names.get(utterance.row.split, "train")].append(utterance)
    notes = []
    share = SHARE * len(sets["train"])
    for name in ("dev", "test") if not names else ("dev",):
        if not sets[name]:
            sets["train"], sets[name], note = _draw(sets["train"], name, share, seed)
            notes.append(note)
    return sets, notes


def _draw(
    utterances: list[Utterance], name: str, wanted: float, seed: int
) -> tuple[list[Utterance], list[Utterance], str]:
    """Take speakers with about ``wanted`` utterances: what is left, what is taken, what to say."""
    counts: dict[str, int] = {}
    for utterance in utterances:
        counts[utterance.speaker] = counts.get(utterance.speaker, 0) + 1
    if len(counts) < 2:
        raise UserError(
            f"no {name} set can be drawn by speaker: too few speakers ({len(counts)} left); add a column split"
        )
    order = sorted(counts)
    random.Random(f"{seed} {name}").shuffle(order)
    taken: set[str] = set()
    size = 0
    for speaker in order:
        if size < wanted and size + counts[speaker] <= _SLACK * wanted:
            taken.add(speaker)
            size += counts[speaker]
    # Every speaker alone is too many: the one with the fewest, the first drawn of several.
    taken = taken or {min(order, key=counts.get)}
    note = f"{name}: drawn by speaker, {len(taken)} of {len(counts)}, --data_seed {seed}"
    return (
        [u for u in utterances if u.speaker not in taken],
        [u for u in utterances if u.speaker in taken],
        note,
    )
