"""Result rows as Markdown tables, and as the last lines that a recipe prints."""

from collections.abc import Callable, Sequence

from peft_asr.report.groups import Group, group_rows, mean_and_deviation
from peft_asr.report.languages import by_language, plain_by_language
from peft_asr.report.metrics import METRICS, main_metric, other_metrics
from peft_asr.report.rows import GROUP, Row

RUN_COLUMNS: tuple[tuple[str, Callable[[Row], str]], ...] = (
    ("date", lambda row: _cell(row.get("date"))),
    ("commit", lambda row: _cell(row.get("commit"))),
    ("task", lambda row: _task(row)),
    ("method", lambda row: _cell(row["method"])),
    ("options", lambda row: _cell(row["options"])),
    ("upstream", lambda row: _cell(row["upstream"])),
    ("tag", lambda row: _cell(row["tag"])),
    ("seed", lambda row: str(row["seed"])),
    ("set", lambda row: _cell(row["set"])),
    ("PER % (95 % interval)", lambda row: _rate(row, "per")),
    ("WER % (95 % interval)", lambda row: _rate(row, "wer")),
    ("CER %", lambda row: _value(row, "cer")),
    ("grapheme CER %", lambda row: _value(row, "ger")),
    ("LID accuracy % (95 % interval)", lambda row: _rate(row, "lid")),
    ("trainable", lambda row: _thousands(row.get("trainable"))),
    ("adapter bytes", lambda row: _thousands(row.get("adapter_bytes"))),
    ("normaliser", lambda row: _cell(row.get("normalizer"))),
    ("step s", lambda row: "-" if row.get("step_s") is None else f"{row['step_s']:.3f}"),
    ("note", lambda row: _cell(row.get("note"))),
    ("command", lambda row: _code(row.get("command"))),
)

MEAN_COLUMNS: tuple[tuple[str, Callable[[Group], str]], ...] = (
    ("task", lambda group: _task(group)),
    ("method", lambda group: _cell(group["method"])),
    ("options", lambda group: _cell(group["options"])),
    ("upstream", lambda group: _cell(group["upstream"])),
    ("tag", lambda group: _cell(group["tag"])),
    ("set", lambda group: _cell(group["set"])),
    ("seeds", lambda group: str(len(group.rows))),
    ("trainable", lambda group: _thousands(group["trainable"])),
    *((f"{m.name} %", lambda group, key=m.key: mean_and_deviation(group, key)) for m in METRICS.values()),
)


def markdown(rows: Sequence[Row]) -> str:
    """The means (where a method ran with several seeds), every run, the environments, and folded tables by language."""
    if not rows:
        return "No result yet.\n"
    groups = group_rows(rows)
    parts = []
    if any(len(group.rows) > 1 for group in groups):
        parts += ["Mean ± standard deviation over the seeds", _table(MEAN_COLUMNS, groups), "Every run"]
    parts.append(_table(RUN_COLUMNS, rows))
    environments = dict.fromkeys(row["environment"] for row in rows if row.get("environment"))
    parts.append("\n".join(f"Environment: {_cell(line)}" for line in environments))
    parts.append(by_language(rows))
    return "\n\n".join(part for part in parts if part) + "\n"


def plain(rows: Sequence[Row], new: Sequence[Row]) -> str:
    """What a recipe ends with: error rates of this run, means over seeds if there are any, parameters, size.

    Args:
        rows: all rows.
        new: those of this run; not empty.
    """
    lines = []
    for task in dict.fromkeys(row["task"] for row in new):
        lines += _rate_lines([row for row in new if row["task"] == task])
    identities = {tuple(row[key] for key in GROUP) for row in new}
    for group in group_rows(rows):
        if len(group.rows) > 1 and tuple(group[key] for key in GROUP) in identities:
            metric = main_metric(group.rows[0])
            rate = mean_and_deviation(group, metric.key, sign="+-")
            lines.append(f"{group['set']}: {metric.name} {rate} % over {len(group.rows)} seeds")
    lines += plain_by_language(new)
    lines.append(f"trainable parameters: {_trainable(new[0])}")
    lines.append(f"saved adapter: {_thousands(new[0].get('adapter_bytes'))} bytes ({new[0]['exp']}/adapter)")
    return "\n".join(lines)


def _rate_lines(rows: Sequence[Row]) -> list[str]:
    """Rows of one task: the rate that counts, with its interval, and the others."""
    metric, others = main_metric(rows[0]), other_metrics(rows[0])
    width = max(len("set"), *(len(row["set"]) for row in rows))
    titles = [f"{each.name} %" for each in others]
    first = max(6, len(metric.name) + 2)
    head = f"{'set':<{width}}  {metric.name + ' %':>{first}}  {'95 % interval':>15}"
    lines = [head + "".join(f"  {title:>6}" for title in titles)]
    for row in rows:
        low, high = row[f"{metric.key}_95"]
        line = f"{row['set']:<{width}}  {row[metric.key]:{first}.2f}  {low:6.2f} - {high:6.2f}"
        cells = (
            _value(row, each.key).rjust(max(6, len(title)))
            for each, title in zip(others, titles, strict=True)
        )
        lines.append("  ".join([line, *cells]))
    return lines


def _table(columns: Sequence[tuple[str, Callable]], items: Sequence) -> str:
    """A table without the columns that are empty throughout."""
    filled = [(name, cell) for name, cell in columns if any(cell(item) for item in items)]
    head = [name for name, _ in filled]
    body = [[cell(item) for _, cell in filled] for item in items]
    return "\n".join(f"| {' | '.join(line)} |" for line in (head, ["---"] * len(head), *body))


def _rate(row: Row, rate: str) -> str:
    if rate not in row:
        return ""
    low, high = row[f"{rate}_95"]
    return f"{row[rate]:.2f} ({low:.2f} to {high:.2f})"


def _value(row: Row, rate: str) -> str:
    return f"{row[rate]:.2f}" if rate in row else ""


def _task(row: Row | Group) -> str:
    """Said where it is not plain speech recognition, so that pages of one task do without the column."""
    return "" if row["task"] == "asr" else _cell(row["task"])


def _thousands(number: int | None) -> str:
    return "-" if number is None else f"{number:,}"


def _trainable(row: Row) -> str:
    trainable, total = row.get("trainable"), row.get("total")
    share = f" of {total:,} ({100 * trainable / total:.2f} %)" if trainable is not None and total else ""
    return _thousands(trainable) + share


def _cell(text: str | None) -> str:
    return " ".join((text or "").split()).replace("|", "\\|")


def _code(text: str | None) -> str:
    return f"`{_cell(text).replace('`', chr(39))}`" if text else ""
