"""From measurements to rows: medians, spread, whether the target is reached."""

import statistics

from peft_asr.bench.campaign import Outcome


def summarise(outcome: Outcome) -> dict:
    """A row, as ``--json`` writes it.

    Keys: ``work``, ``against``, ``what``, ``opponent``, ``compares``, ``target``, ``memory``, and either ``failed`` or
    ``ratio`` (median over the pairs; of time theirs by ours, of memory ours by theirs) with ``lowest`` and ``highest``,
    ``reached`` (None without a target), ``pairs``, ``unit``, ``ours_s``, ``theirs_s`` (medians, a unit), ``ours_mb``,
    ``theirs_mb`` (medians of the peaks), ``wait_share`` (median, ours, None for decoding), ``ours_trainable``,
    ``theirs_trainable``.
    """
    work = outcome.work
    row = {
        "work": work.name,
        "against": work.against,
        "what": work.what,
        "opponent": work.opponent,
        "compares": work.compares,
        "target": work.target,
        "memory": work.memory,
    }
    if outcome.failed:
        return row | {"failed": outcome.failed}
    pairs = list(zip(outcome.ours, outcome.theirs, strict=True))
    if work.memory:
        ratios = [own["peak_mb"] / other["peak_mb"] for own, other in pairs]
    else:
        ratios = [other["step_s"] / own["step_s"] for own, other in pairs]
    ratio = statistics.median(ratios)
    reached = None
    if work.target is not None:
        reached = ratio <= work.target if work.memory else ratio >= work.target
    waits = [own["wait_share"] for own in outcome.ours if "wait_share" in own]
    return row | {
        "ratio": ratio,
        "lowest": min(ratios),
        "highest": max(ratios),
        "reached": reached,
        "pairs": len(pairs),
        "unit": outcome.ours[0]["unit"],
        "ours_s": _median(outcome.ours, "step_s"),
        "theirs_s": _median(outcome.theirs, "step_s"),
        "ours_mb": _median(outcome.ours, "peak_mb"),
        "theirs_mb": _median(outcome.theirs, "peak_mb"),
        "wait_share": statistics.median(waits) if waits else None,
        "ours_trainable": outcome.ours[0]["trainable"],
        "theirs_trainable": outcome.theirs[0]["trainable"],
    }


def _median(measurements: list[dict], key: str) -> float:
    return statistics.median(measurement[key] for measurement in measurements)
