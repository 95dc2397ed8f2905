"""Result rows that differ in nothing but the seed."""

import os
import statistics
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

from peft_asr.report.rows import GROUP, RANDOM_WEIGHTS, Row


@dataclass(frozen=True)
class Group:
    """Runs that differ in nothing but the seed. Deviations are those of a sample (N - 1), None for one run."""

    rows: list[Row]

    def __getitem__(self, key: str):
        return self.rows[0].get(key)

    def mean(self, rate: str) -> float:
        """Mean of a rate, e.g. ``wer``, over the seeds."""
        return statistics.fmean(row[rate] for row in self.rows)

    def deviation(self, rate: str) -> float | None:
        """Standard deviation of a rate over the seeds."""
        return statistics.stdev(row[rate] for row in self.rows) if len(self.rows) > 1 else None

    def has(self, rate: str) -> bool:
        """Every run has it."""
        return all(rate in row for row in self.rows)


def group_rows(rows: Sequence[Row]) -> list[Group]:
    """Rows that differ only in the seed, together; groups in the order of their first row."""
    groups: dict[tuple, list[Row]] = {}
    for row in rows:
        groups.setdefault(tuple(row[key] for key in GROUP), []).append(row)
    return [Group(members) for members in groups.values()]


def mean_and_deviation(group: Group, rate: str, sign: str = "±") -> str:
    """``4.31 ± 0.22``; for a single seed only the value; nothing where the group has no such rate."""
    if not group.has(rate):
        return ""
    deviation = group.deviation(rate)
    return f"{group.mean(rate):.2f}" + ("" if deviation is None else f" {sign} {deviation:.2f}")


def labels(groups: Sequence[Group]) -> list[str]:
    """A name for each: the method, with what else is needed to tell it from the others."""
    several = len({group["upstream"].removesuffix(RANDOM_WEIGHTS) for group in groups}) > 1
    names = []
    for group, tag in zip(groups, _telling([group["tag"] for group in groups]), strict=True):
        upstream = group["upstream"]
        if tag.lower() == group["options"].lower():
            tag = ""
        if upstream.endswith(RANDOM_WEIGHTS):
            tag = tag.replace("upstream.random_init=true", "")  # said once is enough
        if not several:
            upstream = RANDOM_WEIGHTS.strip(" ()") if upstream.endswith(RANDOM_WEIGHTS) else ""
        parts = (group["method"], group["options"], tag.strip("_"), upstream)
        names.append(", ".join(part for part in parts if part))
    return names


def _telling(tags: Sequence[str]) -> list[str]:
    """Each tag without what tells nothing apart: the tag that more than half of them are, else what all begin with."""
    most, count = Counter(tags).most_common(1)[0]
    if most and 2 * count > len(tags):
        return [f"_{tag}_".replace(f"_{most}_", "_", 1).strip("_") for tag in tags]
    return [tag.removeprefix(os.path.commonprefix(tags)).strip("_") for tag in tags]
