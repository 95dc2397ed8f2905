"""Where a language of Common Voice lies, and whether it is whole."""

import sys
from pathlib import Path

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


def check_whole(folder: Path) -> bool:
    """Whether all tables of a release are there; says which are not.

    Raises:
        UserError: something that the recipe needs is missing.
    """
    lacking = [name for name in NEEDED if not (folder / name).exists()]
    if lacking:
        have = sorted(child.name for child in folder.iterdir())
        raise UserError(
            f"{folder} is half there: expected {', '.join(NEEDED)}; missing: {', '.join(lacking)}; "
            f"found: {', '.join(have) or 'nothing'}"
        )
    absent = [name for name in TABLES if not (folder / name).exists()]
    if absent:
        print(
            f"warning: {folder} is not a whole release: it has no {', '.join(absent)}; results are marked partial",
            file=sys.stderr,
        )
    return not absent


def _has_table(folder: Path) -> bool:
    return (folder / "validated.tsv").is_file()
