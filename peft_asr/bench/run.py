"""What ``peft-asr bench`` does: measure, summarise, write."""

from collections.abc import Sequence
from pathlib import Path

from peft_asr.bench.campaign import run_works
from peft_asr.bench.checkpoint import find_geometry
from peft_asr.bench.journal import Journal, code_version
from peft_asr.bench.opponents import why_not
from peft_asr.bench.page import put_block, scaling_block, works_block, works_table
from peft_asr.bench.scaling import points, run_points
from peft_asr.bench.scaling_plot import plot_scaling
from peft_asr.bench.setting import Setting
from peft_asr.bench.summary import summarise
from peft_asr.bench.surroundings import surroundings
from peft_asr.bench.works import Work, choose
from peft_asr.files import write_json

JOURNAL = "measurements.jsonl"


def bench(
    setting: Setting,
    names: Sequence[str],
    against: Sequence[str],
    pairs: int,
    command: str,
    json_file: Path | None = None,
    page: Path | None = None,
) -> list[dict]:
    """Measure works, print the table, and write it where asked; returns the rows (``summary.summarise``).

    Raises:
        UserError: an unknown name, or something cannot be written.
    """
    find_geometry(setting.geometry)
    works, notes = _possible(choose(names, against), against)
    journal = Journal(Path(setting.folder) / JOURNAL)
    about = surroundings(setting, page)
    rows = [
        summarise(outcome) for outcome in run_works(works, setting, pairs, journal, code_version(), _tell)
    ]
    if json_file:
        write_json(json_file, {"about": about, "command": command, "rows": rows, "notes": notes})
    if page:
        put_block(page, "bench", works_block(rows, about, command, notes))
    print(f"\n{works_table(rows)}\n")
    print("\n".join(notes))
    return rows


def bench_scaling(
    setting: Setting, command: str, json_file: Path | None = None, page: Path | None = None
) -> list[dict]:
    """Measure the scaling and write it where asked; the picture lies beside the page, named after it.

    Raises:
        UserError: a measurement failed, or something cannot be written.
    """
    find_geometry(setting.geometry)
    journal = Journal(Path(setting.folder) / JOURNAL)
    about = surroundings(setting, page)
    rows = run_points(points(setting), journal, code_version(), _tell)
    if json_file:
        write_json(json_file, {"about": about, "command": command, "rows": rows})
    picture = page.with_name(f"{page.stem}_scaling.png") if page else None
    if picture:
        plot_scaling(rows, picture)
    text = scaling_block(rows, about, command, picture.name if picture else "")
    if page:
        put_block(page, "scaling", text)
    print(f"\n{text}")
    return rows


def _possible(works: list[Work], against: Sequence[str]) -> tuple[list[Work], list[str]]:
    """The works whose opponents can run here, and a sentence for each opponent that cannot."""
    # espnet has no works, and is spoken of when it was asked for.
    wanted = {work.against for work in works} | ({"espnet"} & set(against))
    reasons = {opponent: why_not(opponent) for opponent in sorted(wanted)}
    kept = [work for work in works if not reasons[work.against]]
    return kept, [reason for reason in reasons.values() if reason]


def _tell(line: str) -> None:
    print(line, flush=True)
