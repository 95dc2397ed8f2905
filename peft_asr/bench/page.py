"""The tables of docs/benchmark.md, between marks, and as they are printed."""

from collections.abc import Sequence
from pathlib import Path

from peft_asr.bench.scaling import SERIES
from peft_asr.bench.surroundings import surroundings_lines
from peft_asr.errors import UserError
from peft_asr.files import write_text

_HEAD = (
    "work", "against", "ratio, median (lowest to highest)", "target", "ours s/step", "theirs s/step", "peak ours MB",
    "peak theirs MB", "loader's share",
)  # fmt: skip


def works_block(rows: Sequence[dict], about: dict, command: str, notes: Sequence[str]) -> str:
    """What a run of works leaves on the page: command, surroundings, table, what is compared, what is missing."""
    done = [row for row in rows if "failed" not in row]
    parts = [f"    {command}", *surroundings_lines(about), works_table(rows)]
    if any(row["unit"] != "step" for row in done):
        parts.append("For decoding, s/step is seconds a minute of speech.")
    parts.append("\n".join(f"- `{row['work']}`: {row['compares']}" for row in rows))
    parts += [f"Failed: `{row['work']}`: {row['failed']}" for row in rows if "failed" in row]
    return "\n\n".join([*parts, *notes])


def works_table(rows: Sequence[dict]) -> str:
    """One line a work."""
    return _table(_HEAD, [_cells(row) for row in rows])


def _cells(row: dict) -> list[str]:
    start = [f"`{row['work']}`: {row['what']}", row["opponent"]]
    target = "-"
    if row["target"] is not None:
        target = f"at most {row['target']:g}" if row["memory"] else f"{row['target']:g}x"
    if "failed" in row:
        return [*start, "failed", target, *["-"] * 5]
    sign = "" if row["memory"] else "x"
    ratio = f"{row['ratio']:.2f}{sign} ({row['lowest']:.2f} to {row['highest']:.2f})"
    if row["reached"] is not None:
        target += ", reached" if row["reached"] else ", missed"
    share = "-" if row["wait_share"] is None else f"{100 * row['wait_share']:.1f} %"
    times = [f"{row['ours_s']:.3f}", f"{row['theirs_s']:.3f}"]
    return [*start, ratio, target, *times, f"{row['ours_mb']:,.0f}", f"{row['theirs_mb']:,.0f}", share]


def scaling_block(rows: Sequence[dict], about: dict, command: str, picture: str) -> str:
    """What ``--scaling`` leaves on the page."""
    body = [
        [
            row["series"], f"{row['x']}", f"{row['step_s']:.3f}" + (" (estimate)" if row["estimated"] else ""),
            f"{row['step_s'] / row['audio_s']:.4f}", f"{row['gflop'] / row['step_s']:,.0f}",
            "-" if row["peak_mb"] is None else f"{row['peak_mb']:,.0f}",
        ]
        for row in rows
    ]  # fmt: skip
    # Where not all layers train or the lower ones come from a dump, the count of a whole step would mislead.
    for cells in body:
        if cells[0].startswith("layers"):
            cells[4] = "-"
    head = ("series", "x", "step s", "s a second of speech", "GFLOP/s", "peak MB")
    used = {row["series"] for row in rows}
    legend = "\n".join(f"- `{name}`: {text}" for name, text in SERIES.items() if name in used)
    estimate = [
        f"`{row['x']}` is an estimate: as much slower than the model above it as its step takes more operations, "
        "counted from the geometry; it has not been run."
        for row in rows
        if row["estimated"]
    ]
    image = [f"![Step time over sizes]({picture})"] if picture else []
    return "\n\n".join(
        [f"    {command}", *surroundings_lines(about), *image, _table(head, body), legend, *estimate]
    )


def put_block(page: Path, name: str, text: str) -> None:
    """Put ``text`` between the marks ``<!-- NAME:begin -->`` and ``<!-- NAME:end -->`` of ``page``; the rest stays.

    A page without the marks gets them at its end; one that is not there begins with a title.

    Raises:
        UserError: the page cannot be read or written, or its marks are not one pair.
    """
    begin, end = f"<!-- {name}:begin -->", f"<!-- {name}:end -->"
    hint = "<!-- made by `peft-asr bench`; what is written between these marks is replaced -->"
    block = f"{begin}\n{hint}\n\n{text}\n\n{end}\n"
    try:
        old = page.read_bytes().decode("utf-8") if page.exists() else "# Benchmark\n"
    except (OSError, UnicodeDecodeError) as err:
        raise UserError(f"cannot read {page}: {err}; check --out") from err
    if begin not in old and end not in old:
        write_text(page, old.rstrip("\n") + f"\n\n{block}")
        return
    if old.count(begin) != 1 or old.count(end) != 1 or old.index(begin) > old.index(end):
        raise UserError(f"{page} must hold one {begin} and, after it, one {end}; nothing was changed")
    before, _, rest = old.partition(begin)
    write_text(page, before + block + rest.partition(end)[2].removeprefix("\n"))


def _table(head: Sequence[str], body: Sequence[Sequence[str]]) -> str:
    lines = (head, ["---"] * len(head), *body)
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)
