"""Results by language: a folded table in RESULTS.md, and lines for the terminal."""

import statistics
from collections.abc import Sequence

from peft_asr.report.groups import Group, group_rows, labels
from peft_asr.report.metrics import METRICS, Metric, main_metric
from peft_asr.report.rows import Row

# More languages than this are left to RESULTS.md.
ON_TERMINAL = 20
WHAT_MEANS = "(in brackets: mean over utterances of their own rates)"


def by_language(rows: Sequence[Row]) -> str:
    """Folded tables, one for each task, set and rate: languages down, experiments across, mean over seeds.

    Returns:
        An empty string where no row has more than one language.
    """
    return "\n\n".join(
        _folded(task, name, metric, [group for group in groups if _has(group, metric)])
        for (task, name), groups in _sections(rows).items()
        for metric in METRICS.values()
        if any(_has(group, metric) for group in groups)
    )


def plain_by_language(rows: Sequence[Row]) -> list[str]:
    """The same as lines for the terminal: of one experiment all rates; of several the one that they are judged by."""
    lines = []
    for (_, name), groups in _sections(rows).items():
        codes = _codes(groups)
        if len(codes) > ON_TERMINAL:
            lines.append(f"{name}: {len(codes)} languages, see RESULTS.md")
            continue
        if len(groups) == 1:
            metrics = [metric for metric in METRICS.values() if _has(groups[0], metric)]
            columns = [(f"{metric.name} %", groups[0], metric.key) for metric in metrics]
            lines.append(f"{name}, by language:")
        else:
            metric = main_metric(groups[0].rows[0])
            columns = [
                (label, group, metric.key) for label, group in zip(labels(groups), groups, strict=True)
            ]
            lines.append(f"{name}, {metric.name} % by language:")
        table = [("language", "utterances", *(title for title, _, _ in columns))]
        table += [
            (code, _sentences(code, groups), *(_mean(group, code, key) for _, group, key in columns))
            for code in codes
        ]
        lines += aligned(table, words=1)
    return lines


def aligned(table: Sequence[tuple], words: int) -> list[str]:
    """Lines of equal columns: the first ``words`` to the left, numbers to the right."""
    widths = [max(map(len, column)) for column in zip(*table, strict=True)]
    sides = ["<"] * words + [">"] * (len(widths) - words)
    return [
        "  ".join(
            f"{cell:{side}{width}}" for cell, side, width in zip(line, sides, widths, strict=True)
        ).rstrip()
        for line in table
    ]


def _sections(rows: Sequence[Row]) -> dict[tuple[str, str], list[Group]]:
    """(task, set) -> groups of runs whose test set has several languages."""
    sections: dict[tuple[str, str], list[Group]] = {}
    for group in group_rows([row for row in rows if len(row.get("by_lang", {})) > 1]):
        sections.setdefault((group["task"], group["set"]), []).append(group)
    return sections


def _codes(groups: Sequence[Group]) -> list[str]:
    return sorted({code for group in groups for code in group["by_lang"]})


def _has(group: Group, metric: Metric) -> bool:
    return any(metric.key in part for part in group["by_lang"].values())


def _folded(task: str, name: str, metric: Metric, groups: Sequence[Group]) -> str:
    codes = _codes(groups)
    head = ["language", "utterances", *labels(groups)]
    body = [
        [code, _sentences(code, groups), *(_cell(group, code, metric.key) for group in groups)]
        for code in codes
    ]
    body.append(
        [f"mean of the {len(codes)} languages", "", *(_average(group, codes, metric.key) for group in groups)]
    )
    lines = ["| " + " | ".join(line) + " |" for line in (head, ["---"] * len(head), *body)]
    brackets = "" if metric.key == "lid" else f" {WHAT_MEANS}"
    title = f"{metric.name} % by language: {task}, {name}{brackets}"
    return "\n".join([f"<details><summary>{title}</summary>", "", *lines, "", "</details>"])


def _sentences(code: str, groups: Sequence[Group]) -> str:
    numbers = {
        row["by_lang"][code]["sentences"] for group in groups for row in group.rows if code in row["by_lang"]
    }
    return " / ".join(map(str, sorted(numbers)))


def _values(group: Group, code: str, key: str) -> list[float]:
    return [row["by_lang"][code][key] for row in group.rows if key in row.get("by_lang", {}).get(code, {})]


def _cell(group: Group, code: str, key: str) -> str:
    values, own = _values(group, code, key), _values(group, code, f"{key}_mean")
    if not values:
        return "-"
    spread = f" ± {statistics.stdev(values):.2f}" if len(values) > 1 else ""
    brackets = f" ({statistics.fmean(own):.2f})" if own else ""
    return f"{statistics.fmean(values):.2f}{spread}{brackets}"


def _mean(group: Group, code: str, key: str) -> str:
    values = _values(group, code, key)
    return f"{statistics.fmean(values):.2f}" if values else "-"


def _average(group: Group, codes: Sequence[str], key: str) -> str:
    """Every language counts alike; only where the group has all of them."""
    means = [statistics.fmean(values) for code in codes if (values := _values(group, code, key))]
    return f"{statistics.fmean(means):.2f}" if len(means) == len(codes) else "-"
