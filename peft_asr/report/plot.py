"""Trainable parameters against word error rate, one point a method."""

import importlib
import logging
import os
from collections.abc import Sequence
from pathlib import Path
from types import ModuleType

from peft_asr.errors import UserError
from peft_asr.files import atomic_path
from peft_asr.report.rows import GROUP, RANDOM_WEIGHTS, Row
from peft_asr.report.tables import Group, group_rows

FORMATS = (".png", ".svg", ".pdf")
CAPTION = "bars: standard deviation over seeds; for a single seed the 95 % interval over utterances"


def check_plot(path: str) -> None:
    """Can ``path`` be drawn here? Asked before any work is done.

    Raises:
        UserError: matplotlib is missing, or the format is none of ``FORMATS``.
    """
    if Path(path).suffix not in FORMATS:
        raise UserError(f"--plot {path}: the format is unknown; allowed endings: {', '.join(FORMATS)}")
    _matplotlib("figure")


def plot_results(rows: Sequence[Row], path: str) -> None:
    """Draw one panel for each test set; parameters on a logarithmic axis.

    Raises:
        UserError: as ``check_plot``; or no row says how many parameters were trained.
    """
    check_plot(path)
    groups = [group for group in group_rows(rows) if group["trainable"]]
    if not groups:
        raise UserError(
            f"--plot {path}: no result has a number of trainable parameters, so there is nothing to draw"
        )
    sets = list(dict.fromkeys(group["set"] for group in groups))
    names = _names(groups)
    columns = max(1, min(2 * len(sets) + 1, len(names)))
    rows_of_legend = -(-len(names) // columns)
    size = (max(7.0, 4.5 * len(sets)), 4.4 + 0.22 * rows_of_legend)
    figure = _matplotlib("figure").Figure(figsize=size, layout="constrained")
    panels = figure.subplots(1, len(sets), sharex=True, sharey=True, squeeze=False)[0]
    for panel, name in zip(panels, sets, strict=True):
        _draw_panel(panel, [group for group in groups if group["set"] == name], names)
        panel.set_title(name)
    # The axes are shared: limits are set when every panel has its points.
    sizes = [group["trainable"] for group in groups]
    panels[0].set_xlim(min(sizes) / 2, max(sizes) * 2)
    panels[0].set_ylim(bottom=0)
    panels[0].set_ylabel("WER (%)")
    figure.legend(
        *_legend(panels, list(names.values())), loc="outside lower center", ncols=columns, fontsize="small",
        title=CAPTION, title_fontproperties={"size": "small"},
    )  # fmt: skip
    with atomic_path(path) as temporary:
        figure.savefig(temporary, dpi=150)


def _draw_panel(panel, groups: Sequence[Group], names: dict[tuple, str]) -> None:
    markers = "osD^vP*X<>ph"
    order = list(names.values())
    for group in groups:
        name = names[_identity(group)]
        place = order.index(name)
        mean = group.mean("wer")
        panel.errorbar(
            group["trainable"],
            mean,
            yerr=[[below] for below in _bar(group, mean)],
            marker=markers[place % len(markers)],
            color=f"C{place % 10}",
            capsize=3,
            linestyle="none",
            label=name,
        )
    panel.set_xscale("log")
    panel.set_xlabel("trainable parameters")
    panel.grid(alpha=0.3)


def _bar(group: Group, mean: float) -> tuple[float, float]:
    """How far the bar reaches below and above the point."""
    deviation = group.deviation("wer")
    if deviation is not None:
        return min(deviation, mean), deviation
    low, high = group["wer_95"]
    return max(mean - low, 0.0), max(high - mean, 0.0)


def _identity(group: Group) -> tuple:
    return tuple(group[key] for key in GROUP if key != "set")


def _names(groups: Sequence[Group]) -> dict[tuple, str]:
    """Identity -> the method's name, with what else is needed to tell it from the others."""
    several = len({group["upstream"].removesuffix(RANDOM_WEIGHTS) for group in groups}) > 1
    usual = os.path.commonprefix([group["tag"] for group in groups])
    names = {}
    for group in groups:
        upstream, tag = group["upstream"], group["tag"].removeprefix(usual)
        if upstream.endswith(RANDOM_WEIGHTS):
            tag = tag.replace("upstream.random_init=true", "")  # said once is enough
        if not several:
            upstream = RANDOM_WEIGHTS.strip(" ()") if upstream.endswith(RANDOM_WEIGHTS) else ""
        parts = (group["method"], group["options"], tag.strip("_"), upstream)
        names[_identity(group)] = ", ".join(part for part in parts if part)
    return names


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
