"""The picture of the scaling: step time over each size, one panel a question."""

import importlib
from collections.abc import Sequence
from pathlib import Path

from peft_asr.files import atomic_path
from peft_asr.report.plot import check_plot

# panel -> (title, x axis, series with their labels)
_PANELS = (
    ("Batch size", "seconds of speech in a batch", {"batch": "utterances of 10 s"}),
    ("Utterance length", "seconds of an utterance (35 s in a batch)", {"length": "35 s in a batch"}),
    (
        "Layers adapted",
        "layers with LoRA, from the top",
        {"layers": "from audio", "layers_dump": "from the dump below"},
    ),
)


def plot_scaling(rows: Sequence[dict], path: Path) -> None:
    """Draw the rows of ``scaling.run_points``; series without rows leave their panel empty.

    Raises:
        UserError: matplotlib is missing, or the format is unknown.
    """
    check_plot(str(path))
    figure = importlib.import_module("matplotlib.figure").Figure(figsize=(10.0, 7.0), layout="constrained")
    panels = figure.subplots(2, 2).flat
    for panel, (title, axis, series) in zip(panels, _PANELS, strict=False):
        for number, (name, label) in enumerate(series.items()):
            own = [row for row in rows if row["series"] == name]
            x, y = [row["x"] for row in own], [row["step_s"] for row in own]
            panel.plot(x, y, marker="os"[number], color=f"C{number}", label=label)
            if name == "batch" and own:
                rate = y[-1] / x[-1]
                panel.plot([0, x[-1]], [0, rate * x[-1]], color="grey", linestyle=":", label="proportional")
        shown = [row for row in rows if row["series"] in series]
        _finish(panel, title, axis, shown)
        if len(panel.get_legend_handles_labels()[0]) > 1:
            panel.legend(fontsize="small")
    _draw_sizes(figure.axes[3], [row for row in rows if row["series"] == "size"])
    with atomic_path(path) as temporary:
        figure.savefig(temporary, dpi=130)


def _draw_sizes(panel, rows: Sequence[dict]) -> None:
    for place, row in enumerate(rows):
        hatch, face = ("//", "none") if row["estimated"] else ("", "C0")
        panel.bar(place, row["step_s"], width=0.6, facecolor=face, edgecolor="C0", hatch=hatch)
        text = f"{row['step_s']:.2f} s" + (" (estimate)" if row["estimated"] else "")
        panel.annotate(
            text, (place, row["step_s"]), (0, 3), textcoords="offset points", ha="center", fontsize="small"
        )
    panel.set_xticks(range(len(rows)), [str(row["x"]) for row in rows])
    _finish(panel, "Model size", "geometry; 4 utterances of 10 s in a batch", rows)


def _finish(panel, title: str, axis: str, rows: Sequence[dict]) -> None:
    panel.set_title(title)
    panel.set_xlabel(axis)
    panel.set_ylabel("seconds a step")
    panel.set_ylim(0, 1.15 * max((row["step_s"] for row in rows), default=1.0))
    panel.grid(alpha=0.3)
