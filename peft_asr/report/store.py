"""``results.jsonl`` (the rows, for machines) and the table in ``RESULTS.md`` that is made from it."""

import contextlib
import fcntl
import json
import os
from collections.abc import Iterator
from pathlib import Path

from peft_asr.errors import UserError
from peft_asr.files import write_text
from peft_asr.report.metrics import METRICS
from peft_asr.report.rows import GROUP, KEY, Row
from peft_asr.report.tables import markdown

BEGIN = "<!-- results:begin -->"
END = "<!-- results:end -->"
HINT = (
    "<!-- made by `peft-asr results` from results.jsonl; what is written between these marks is replaced -->"
)


def update(results_md: str, rows: list[Row]) -> list[Row]:
    """Put ``rows`` beside those that are there (or in the place of those with the same key); rewrite the table.

    Text outside the two marks stays as it is; a file without them gets them at its end.

    Args:
        results_md: the recipe's RESULTS.md; ``results.jsonl`` lies beside it.
        rows: new rows; none: only the table is made again.

    Returns:
        All rows, in the order of the table.

    Raises:
        UserError: results.jsonl is damaged, or the marks in RESULTS.md are not one pair. Nothing is changed then.
    """
    page = Path(results_md)
    with _locked(page.parent):
        store = page.parent / "results.jsonl"
        merged = {tuple(row[key] for key in KEY): row for row in [*read_rows(store), *rows]}
        ordered = sorted(merged.values(), key=_order)
        text = _replace_block(page, markdown(ordered))
        write_text(
            store, "".join(json.dumps(row, sort_keys=True, ensure_ascii=False) + "\n" for row in ordered)
        )
        write_text(page, text)
    return ordered


def read_rows(store: Path) -> list[Row]:
    """The rows of a results.jsonl; none if there is no such file.

    Raises:
        UserError: a line is not a row, naming file and line.
    """
    try:
        lines = store.read_text(encoding="utf-8").splitlines()
    except FileNotFoundError:
        return []
    except (OSError, UnicodeDecodeError) as err:
        raise UserError(f"cannot read {store}: {err}") from err
    rows = []
    for number, line in enumerate(lines, start=1):
        try:
            row = json.loads(line)
            missing = [key for key in KEY if key not in row]
            missing += [] if METRICS.keys() & row.keys() else ["/".join(METRICS)]
        except (ValueError, TypeError, AttributeError):
            row, missing = None, list(KEY)
        if not isinstance(row, dict) or missing:
            raise UserError(
                f"{store}:{number} is not a result row ({', '.join(missing)} wanted); repair or remove it"
            )
        rows.append(row)
    return rows


def _order(row: Row) -> tuple:
    # Few parameters first: that is how one reads such a table.
    parameters = row.get("trainable") or 0
    return (row["task"], row["upstream"], parameters, *(row[key] for key in GROUP[2:]), row["seed"])


def _replace_block(page: Path, table: str) -> str:
    block = f"{BEGIN}\n{HINT}\n\n{table}\n{END}\n"
    if not page.exists():
        return f"# Results\n\n{block}"
    try:
        text = page.read_bytes().decode("utf-8")
    except OSError as err:
        raise UserError(f"cannot read {page}: {err.strerror or err}; check --out") from err
    except UnicodeDecodeError as err:
        raise UserError(
            f"{page} is not UTF-8 (byte {err.start}); repair it or give another file with --out"
        ) from err
    if BEGIN not in text and END not in text:
        return text.rstrip("\n") + f"\n\n{block}"
    if text.count(BEGIN) != 1 or text.count(END) != 1 or text.index(BEGIN) > text.index(END):
        raise UserError(f"{page} must hold one {BEGIN} and, after it, one {END}; nothing was changed")
    before, _, rest = text.partition(BEGIN)
    after = rest.partition(END)[2].removeprefix("\n")
    return f"{before}{block}{after}"


@contextlib.contextmanager
def _locked(folder: Path) -> Iterator[None]:
    """Jobs that end together must not lose each other's rows: one reads and writes at a time."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
        handle = os.open(folder, os.O_RDONLY)
    except OSError as err:
        raise UserError(f"cannot write in {folder}: {err.strerror or err}; check --out") from err
    try:
        fcntl.flock(handle, fcntl.LOCK_EX)
        yield
    finally:
        os.close(handle)
