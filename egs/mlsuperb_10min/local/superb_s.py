"""SUPERB_s: the one number of ML-SUPERB (Shi et al., Interspeech 2023), by reference values of conf/superb_s.yaml.

Every metric is mapped linearly, FBANK features to 0 and the best known system to 1,000; averaged inside a task, then
over the tasks: mono, multi, lid, joint.
"""

from collections.abc import Mapping
from pathlib import Path

from omegaconf import OmegaConf

from peft_asr.errors import UserError, nearest

CONF = Path(__file__).resolve().parents[1] / "conf" / "superb_s.yaml"
TASKS = {"mono": ("mono",), "multi": ("multi",), "lid": ("lid",), "joint": ("joint_acc", "joint_cer")}


def superb_s(
    results: Mapping[str, float | list[float]], reference: str = "original", size: str = "10min"
) -> float:
    """The score of one system.

    Args:
        results: ``mono`` (mean error over languages), ``multi`` and ``joint_cer`` (CER of the languages that have all
            their training data, and that of the few-shot ones where there are such: [normal, few-shot]), ``lid`` and
            ``joint_acc`` (accuracy), all in %.
        reference: a set of values in conf/superb_s.yaml.
        size: 10min or 1h.

    Returns:
        Without a bound: better than the best known is above 1,000.

    Raises:
        UserError: unknown reference or size, or a result is missing.
    """
    scores = task_scores(results, reference, size)
    return sum(scores.values()) / len(scores)


def task_scores(results: Mapping[str, float | list[float]], reference: str, size: str) -> dict[str, float]:
    """Task -> its own score, of which SUPERB_s is the mean. Arguments and errors as ``superb_s``."""
    values = reference_values(reference, size)
    needed = [metric for metrics in TASKS.values() for metric in metrics]
    if missing := [metric for metric in needed if metric not in results]:
        raise UserError(f"SUPERB_s needs {', '.join(needed)}; missing: {', '.join(missing)}")
    scores = {}
    for task, metrics in TASKS.items():
        mapped = []
        for metric in metrics:
            given, zero, best = map(
                _listed, (results[metric], values["fbank"][metric], values["best"][metric])
            )
            # One value against two of reference: the few-shot languages are left out.
            mapped += [
                1000.0 * (x - low) / (high - low) for x, low, high in zip(given, zero, best, strict=False)
            ]
        scores[task] = sum(mapped) / len(mapped)
    return scores


def reference_values(reference: str, size: str) -> dict:
    """``{"fbank": {...}, "best": {...}}`` of one set and size."""
    sets = OmegaConf.to_container(OmegaConf.load(CONF))
    if reference not in sets:
        raise UserError(
            f"unknown reference values '{reference}'{nearest(reference, sets)}; allowed: {', '.join(sets)}"
        )
    sizes = {key: value for key, value in sets[reference].items() if key != "source"}
    if size not in sizes:
        raise UserError(f"no reference values for size '{size}'; allowed: {', '.join(sizes)}")
    return sizes[size]


def _listed(value: float | list[float]) -> list[float]:
    return list(value) if isinstance(value, (list, tuple)) else [value]
