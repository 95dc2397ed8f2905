"""Columns are found by name: ours, or what other formats call them."""

from collections.abc import Iterable

from peft_asr.data.tables import counted
from peft_asr.errors import UserError, nearest

# Our name -> the names that stand for it, best first. Two corpora have given them: Hugging Face's audio folders
# (file_name, transcription) and Common Voice (sentence, client_id, locale).
ALIASES = {
    "path": ("path", "file_name"),
    "text": ("text", "transcription", "sentence"),
    "utt_id": ("utt_id",),
    "speaker": ("speaker", "speaker_id", "client_id"),
    "lang": ("lang", "locale"),
    "split": ("split",),
    "start_s": ("start_s",),
    "end_s": ("end_s",),
}
NEEDED = ("path", "text")


def match_columns(
    names: Iterable[str], where: str, needed: Iterable[str] = NEEDED
) -> tuple[dict[str, str], list[str]]:
    """Our column names -> the corpus's, and a note on the columns that are not used.

    Raises:
        UserError: a needed one is missing or a name stands twice.
    """
    names = [str(name) for name in names]
    plain = {name.strip().lower(): name for name in names if name.strip()}
    if len(plain) < sum(1 for name in names if name.strip()):
        twice = next(n for n in plain if sum(m.strip().lower() == n for m in names) > 1)
        raise UserError(f"{where}: the column '{twice}' stands there twice")
    found = {
        ours: plain[first]
        for ours, aliases in ALIASES.items()
        if (first := next((a for a in aliases if a in plain), None))
    }
    for ours in needed:
        if ours not in found:
            raise UserError(_missing(ours, list(plain), where, set(found.values())))
    unused = [name for name in plain.values() if name not in found.values()]
    notes = []
    if unused:
        notes.append(
            f"{where}: {counted(len(unused), 'column')} not used: {', '.join(map(str.strip, unused))}"
        )
    return found, notes


def _missing(ours: str, names: list[str], where: str, taken: set[str]) -> str:
    allowed = ALIASES[ours]
    free = [name for name in names if name not in taken]
    near = next((name for name in free if nearest(name, allowed)), None)
    hint = f"; the nearest is '{near}'" if near else ""
    also = f" (also: {', '.join(allowed[1:])})" if allowed[1:] else ""
    return f"{where} has no column '{ours}'{also}{hint}; its first line names the columns: {', '.join(names) or 'none'}"
