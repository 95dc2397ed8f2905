"""Where a language of Common Voice lies, and whether it is whole."""

import sys
from pathlib import Path

from tsv import Clip

from peft_asr.errors import UserError, nearest

# What every release has had since the first in this format.
TABLES = ("train.tsv", "dev.tsv", "test.tsv", "validated.tsv", "invalidated.tsv", "other.tsv")
NEEDED = ("validated.tsv", "dev.tsv", "test.tsv", "clips")
PAGE = "https://commonvoice.mozilla.org/datasets"


def find_language(db: Path, lang: str) -> Path:
    """The folder of a language: ``db/<lang>`` or ``db/cv-corpus-*/<lang>``.

    Raises:
        UserError: no such folder (with the languages that are there), or several releases.
    """
    if not db.is_dir():
        raise UserError(
            f"there is no {db}: --db names a release of Common Voice (cv-corpus-...) or the folder that holds it; "
            f"it comes from {PAGE}"
        )
    releases = [db, *sorted(db.glob("cv-corpus-*"))]
    found = [
        release / lang
        for release in releases
        if (release / lang / "clips").is_dir() or _has_table(release / lang)
    ]
    if len(found) > 1:
        raise UserError(
            f"{db} has '{lang}' in {len(found)} releases ({', '.join(f.parent.name for f in found)}); "
            "name one with --db"
        )
    if not found:
        codes = sorted(
            {child.name for release in releases for child in release.iterdir() if _has_table(child)}
        )
        if codes:
            raise UserError(
                f"there is no language '{lang}' in {db}{nearest(lang, codes)}; there are: {', '.join(codes)} (--lang)"
            )
        raise UserError(
            f"{db} holds no Common Voice: expected {lang}/validated.tsv or cv-corpus-*/{lang}/validated.tsv there "
            f"(--db); the corpus comes from {PAGE}"
        )
    return found[0]


def check_needed(folder: Path) -> None:
    """Whether there is what the recipe cannot do without.

    Raises:
        UserError: something of it is missing.
    """
    lacking = [name for name in NEEDED if not (folder / name).exists()]
    if lacking:
        have = sorted(child.name for child in folder.iterdir())
        raise UserError(
            f"{folder} is half there: expected {', '.join(NEEDED)}; missing: {', '.join(lacking)}; "
            f"found: {', '.join(have) or 'nothing'}"
        )


def check_whole(folder: Path, listed: dict[str, list[Clip]], files: set[str], allow_partial: bool) -> bool:
    """Whether all tables of a release are there, and the clips of those that are read; says what is not.

    Args:
        folder: of the language.
        listed: name of a table -> its clips.
        files: what is in ``clips/``.
        allow_partial: go on with what there is.

    Raises:
        UserError: something is missing and ``allow_partial`` is not set.
    """
    absent = [name for name in TABLES if not (folder / name).exists()]
    lacks = [f"it has no {', '.join(absent)}"] if absent else []
    for name, clips in listed.items():
        gone = sorted({clip.file for clip in clips} - files)
        if gone:
            lacks.append(
                f"of {len(clips):,} clips of {name}.tsv {len(gone):,} are not in clips/, e.g. {gone[0]}"
            )
    if lacks and not allow_partial:
        raise UserError(
            f"{folder} is not a whole release: {'; '.join(lacks)}; --allow_partial true takes what is there and "
            "marks the results"
        )
    if lacks:
        print(
            f"warning: {folder} is not a whole release: {'; '.join(lacks)}; results are marked partial",
            file=sys.stderr,
        )
    return not lacks


def _has_table(folder: Path) -> bool:
    return (folder / "validated.tsv").is_file()
