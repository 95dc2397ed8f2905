"""Trainable parameters against error rate or accuracy, one point a method."""

import importlib
import logging
import textwrap
from collections.abc import Collection, Sequence
from pathlib import Path
from types import ModuleType

from peft_asr.errors import UserError
from peft_asr.files import atomic_path
from peft_asr.report.groups import Group, group_rows, labels
from peft_asr.report.metrics import METRICS, main_metric
from peft_asr.report.rows import GROUP, PICTURES, Row

# Inches that an entry of the legend takes: what stands before its name, and each letter. Letters in a line of it.
_MARKER, _LETTER = 0.5, 0.08
_LINE = 36
CAPTION = "bars: standard deviation over seeds; for a single seed the 95 % interval over utterances"


def check_plot(path: str) -> None:
    """Can ``path`` be drawn here? Asked before any work is done.

    Raises:
        UserError: matplotlib is missing, or the format is none of ``PICTURES``.
    """
    if Path(path).suffix not in PICTURES:
        raise UserError(f"--plot {path}: the format is unknown; allowed endings: {', '.join(PICTURES)}")
    _matplotlib("figure")


def plot_results(rows: Sequence[Row], path: str, metric: str | None = None) -> None:
    """Draw one panel for each task and test set; parameters on a logarithmic axis, scores on one named by the metric.

    Args:
        rows: results.
        path: the picture.
        metric: e.g. ``cer``; None: what each task is judged by.

    Raises:
        UserError: as ``check_plot``; or no row says how many parameters were trained, or has the metric.
    """
    check_plot(path)
    groups = [group for group in group_rows(rows) if group["trainable"]]
    groups = [group for group in groups if metric is None or group.has(metric)]
    if not groups:
        wanted = f" and a {METRICS[metric].name}" if metric else ""
        raise UserError(
            f"--plot {path}: no result has a number of trainable parameters{wanted}, so there is nothing to draw"
        )
    sets = list(dict.fromkeys((group["task"], group["set"]) for group in groups))
    width = max(7.0 if len({_identity(group) for group in groups}) <= 16 else 11.0, 4.5 * len(sets))
    names = _names(groups)
    shown = list(dict.fromkeys(names.values()))
    columns = _columns(shown, width)
    lines_of_legend = sum(1 + name.count("\n") for name in shown)
    size = (width, 4.4 + 0.22 * -(-lines_of_legend // columns))
    figure = _matplotlib("figure").Figure(figsize=size, layout="constrained")
    # One axis of scores for all panels, if all are of one kind.
    keys = [metric or main_metric(_of(groups, place)[0].rows[0]).key for place in sets]
    same = len(set(keys)) == 1
    panels = figure.subplots(1, len(sets), sharex=True, sharey=same, squeeze=False)[0]
    tasks = {task for task, _ in sets}
    for panel, (task, name), key in zip(panels, sets, keys, strict=True):
        _draw_panel(panel, _of(groups, (task, name)), names, key)
        panel.set_title(name if len(tasks) == 1 else f"{task}: {name}")
        if panel is panels[0] or not same:
            panel.set_ylabel(METRICS[key].axis)
    # The axes are shared: limits are set when every panel has its points.
    sizes = [group["trainable"] for group in groups]
    panels[0].set_xlim(min(sizes) / 2, max(sizes) * 2)
    for panel in panels:
        panel.set_ylim(bottom=0)
    figure.legend(
        *_legend(panels, shown), loc="outside lower center", ncols=columns,
        fontsize="small", title=CAPTION, title_fontproperties={"size": "small"},
    )  # fmt: skip
    with atomic_path(path) as temporary:
        figure.savefig(temporary, dpi=150)


def _of(groups: Sequence[Group], place: tuple[str, str]) -> list[Group]:
    return [group for group in groups if (group["task"], group["set"]) == place]


def _draw_panel(panel, groups: Sequence[Group], names: dict[tuple, str], rate: str) -> None:
    markers = "osD^vP*X<>ph"
    order = list(dict.fromkeys(names.values()))
    for group in groups:
        name = names[_identity(group)]
        place = order.index(name)
        mean = group.mean(rate)
        panel.errorbar(
            group["trainable"],
            mean,
            yerr=[[below] for below in _bar(group, rate)],
            marker=markers[place % len(markers)],
            color=f"C{place % 10}",
            capsize=3,
            linestyle="none",
            label=name,
        )
    panel.set_xscale("log")
    panel.set_xlabel("trainable parameters")
    panel.grid(alpha=0.3)


def _bar(group: Group, rate: str) -> tuple[float, float]:
    """How far the bar reaches below and above the point."""
    mean, deviation = group.mean(rate), group.deviation(rate)
    if deviation is not None:
        return min(deviation, mean), deviation
    low, high = group[f"{rate}_95"]
    return max(mean - low, 0.0), max(high - mean, 0.0)


def _identity(group: Group) -> tuple:
    return tuple(group[key] for key in GROUP if key != "set")


def _names(groups: Sequence[Group]) -> dict[tuple, str]:
    """What to call each, in lines of which two fit beside each other into the smallest picture."""
    names = [textwrap.fill(name, _LINE, break_on_hyphens=False) for name in labels(groups)]
    return {_identity(group): name for group, name in zip(groups, names, strict=True)}


def _columns(names: Collection[str], width: float) -> int:
    """Columns of the legend: as many as the names leave room for."""
    longest = max(len(line) for name in names for line in name.splitlines())
    return max(1, min(int(width / (_MARKER + _LETTER * longest)), len(names)))


def _legend(panels: Sequence, names: list[str]) -> tuple[list, list[str]]:
    handles = {}
    for panel in panels:
        for handle, label in zip(*panel.get_legend_handles_labels(), strict=True):
            handles[label] = handle
    return [handles[name] for name in names], names


def _matplotlib(module: str) -> ModuleType:
    logging.getLogger("matplotlib").setLevel(logging.WARNING)  # it announces that it has looked at the fonts
    try:
        return importlib.import_module(f"matplotlib.{module}")
    except ImportError as err:
        raise UserError(f"--plot needs matplotlib ({err}): pip install 'peft_asr[plots]'") from err
