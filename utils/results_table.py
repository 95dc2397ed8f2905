#!/usr/bin/env python3
"""Print the results of the experiments that a recipe has just run: ``results_table.py results.jsonl EXP ...``.

One experiment: its rates, trainable parameters and the size of its adapter. Several: one line for each method and test
set, averaged over the seeds. Rates by language follow where there are several languages.
"""

import sys
from pathlib import Path

from peft_asr.errors import UserError
from peft_asr.report.groups import group_rows, mean_and_deviation
from peft_asr.report.languages import aligned, plain_by_language
from peft_asr.report.metrics import METRICS
from peft_asr.report.store import read_rows
from peft_asr.report.tables import plain


def main(store: str, experiments: list[str]) -> None:
    rows = read_rows(Path(store))
    new = [row for row in rows if row["exp"] in experiments]
    if not new:
        raise UserError(f"{store} has no result of {' '.join(experiments)}; run stage 5")
    print(plain(rows, new) if len(experiments) == 1 else grid(new))


def grid(rows: list[dict]) -> str:
    """An aligned table, and one by language where there are several."""
    groups = group_rows(rows)
    metrics = [metric for metric in METRICS.values() if any(group.has(metric.key) for group in groups)]
    head = ("method", "tag", "set", "seeds", *(f"{m.name} %" for m in metrics), "trainable", "adapter bytes")
    table = [head]
    for group in groups:
        rates = [mean_and_deviation(group, metric.key, sign="+-") or "-" for metric in metrics]
        sizes = ["-" if group[key] is None else f"{group[key]:,}" for key in ("trainable", "adapter_bytes")]
        table.append(
            (group["method"], group["tag"] or "-", group["set"], str(len(group.rows)), *rates, *sizes)
        )
    return "\n".join([*aligned(table, words=3), *plain_by_language(rows)])


if __name__ == "__main__":
    try:
        main(sys.argv[1], sys.argv[2:])
    except UserError as err:
        sys.exit(f"results_table.py: error: {err}")
    except KeyboardInterrupt:
        sys.exit(130)
