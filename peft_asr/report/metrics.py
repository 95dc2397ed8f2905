"""What results are measured in: names, units, and which rates a task has."""

from dataclasses import dataclass

from peft_asr.report.rows import Row


@dataclass(frozen=True)
class Metric:
    """One number of a result row.

    Attributes:
        key: in the row; its interval is ``<key>_95``.
        name: for a table's head.
        axis: for a plot.
    """

    key: str
    name: str
    axis: str


# In the order of a table's columns; a row's main one is the first that it has.
METRICS = {
    metric.key: metric
    for metric in (
        Metric("per", "PER", "PER (%)"),
        Metric("wer", "WER", "WER (%)"),
        Metric("cer", "CER", "CER (%)"),
        Metric("ger", "grapheme CER", "grapheme CER (%)"),
        Metric("lid", "LID accuracy", "LID accuracy (%)"),
    )
}


def main_metric(row: Row) -> Metric:
    """What a row is judged by: WER, PER or LID accuracy; CER for asr_lid and where no blanks separate words."""
    own = [metric for metric in METRICS.values() if metric.key in row]
    if "cer" in row and (row["task"] == "asr_lid" or row.get("unspaced")):
        return METRICS["cer"]
    return own[0]


def other_metrics(row: Row) -> list[Metric]:
    """The rest of what it has, in the order of the columns."""
    return [metric for metric in METRICS.values() if metric.key in row and metric != main_metric(row)]
