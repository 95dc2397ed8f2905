"""Measure works, pair by pair, in alternating order."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from peft_asr.bench.child import measure
from peft_asr.bench.journal import Journal
from peft_asr.bench.material import prepare
from peft_asr.bench.setting import Setting
from peft_asr.bench.works import Side, Work
from peft_asr.errors import UserError


@dataclass
class Outcome:
    """What came of a work: as many measurements of each side as pairs, or why there are none."""

    work: Work
    ours: list[dict] = field(default_factory=list)
    theirs: list[dict] = field(default_factory=list)
    failed: str = ""


def run_works(
    works: Sequence[Work],
    setting: Setting,
    pairs: int,
    journal: Journal,
    version: str,
    tell: Callable[[str], None] = print,
    order: Callable[[int], bool] = lambda pair: pair % 2 == 0,
) -> list[Outcome]:
    """Measure every work; one that fails is told and does not stop the others.

    Args:
        version: of the code; measurements of it in ``journal`` are taken from there.
        tell: gets a line of progress.
        order: pair number -> our side goes first.
    """
    outcomes = []
    for number, work in enumerate(works, start=1):
        outcome = Outcome(work)
        title = f"[{number}/{len(works)}] {work.name}"
        around = setting.longer(work.longer)
        try:
            prepare(around, [work.ours, work.theirs])
            for pair in range(pairs):
                sides = [("ours", work.ours), ("theirs", work.theirs)]
                for name, side in sides if order(pair) else sides[::-1]:
                    # A side that several works share is measured anew for each: a ratio is of neighbours in time.
                    key = {"work": work.name, "pair": pair, "side": name, **key_of(around, side, version)}
                    found = journal.find(key)
                    if found is None:
                        found = measure(around, side)
                        journal.add(key, found)
                    getattr(outcome, name).append(found)
                    tell(f"{title}: pair {pair + 1} of {pairs}, {name}: {in_words(found)}")
        except UserError as err:
            outcome.failed = str(err)
            tell(f"{title}: failed: {err}")
        outcomes.append(outcome)
    return outcomes


def key_of(setting: Setting, side: Side, version: str) -> dict:
    """What decides a side's figure, beside its turn."""
    return {"setting": setting.key(), "runner": side.runner, "options": side.options, "version": version}


def in_words(measurement: dict) -> str:
    """``5.21 s a step, peak 1,930 MB``."""
    return f"{measurement['step_s']:.3f} s a {measurement['unit']}, peak {measurement['peak_mb']:,.0f} MB"
