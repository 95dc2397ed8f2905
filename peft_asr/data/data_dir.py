"""Writing a Kaldi data directory; a file that says the same keeps its time, so that later stages stay complete."""

from collections.abc import Mapping
from pathlib import Path

from peft_asr.data.kaldi import spk2utt
from peft_asr.data.tables import table_text
from peft_asr.files import write_if_changed

Table = Mapping[str, str]  # id -> value


def write_data_dir(folder: Path, tables: Mapping[str, Table | None]) -> bool:
    """Write the tables of one set, ``wav.scp`` last; returns whether anything was written.

    Args:
        folder: e.g. ``data/train``.
        tables: name -> table, ``wav.scp`` and ``utt2spk`` among them; ``spk2utt`` is made from the latter. A table
            that is None is removed.
    """
    whole = {**tables, "spk2utt": spk2utt(tables["utt2spk"])}
    whole["wav.scp"] = whole.pop("wav.scp")
    changed = []
    for name, table in whole.items():
        if table is None:
            (folder / name).unlink(missing_ok=True)
        else:
            changed.append(write_if_changed(folder / name, table_text(table)))
    return any(changed)


def write_partial(file: Path, whole: bool, facts: Table) -> None:
    """Mark the results of a corpus that is not whole (``data/partial``, read by utils/recipe_marks.sh).

    Args:
        file: the mark; one of an earlier run is removed when the corpus is whole now.
        whole: whether it is.
        facts: the lines of the mark, e.g. ``valid_set`` and ``test_sets``, where these are not the recipe's.
    """
    if whole:
        file.unlink(missing_ok=True)
    else:
        write_if_changed(file, "".join(f"{key} {value}\n" for key, value in facts.items()))
