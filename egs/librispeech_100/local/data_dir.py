"""Writing a Kaldi data directory; a table that says the same keeps its time, so that later stages stay complete."""

from collections.abc import Mapping
from pathlib import Path

from peft_asr.data.kaldi import spk2utt
from peft_asr.data.tables import table_text
from peft_asr.files import write_text

OPTIONAL = ("utt2lang", "utt2dur")


def write_set(
    folder: Path,
    wav: Mapping[str, str],
    text: Mapping[str, str],
    utt2spk: Mapping[str, str],
    utt2lang: Mapping[str, str] | None = None,
    utt2dur: Mapping[str, str] | None = None,
) -> None:
    """Write the tables of one set, each utterance id -> value; a table that is not given is removed.

    Args:
        folder: e.g. ``data/train``.
        wav: absolute path of the audio.
        text: transcript.
        utt2spk: speaker, with which the utterance id begins.
        utt2lang: language code.
        utt2dur: seconds; stage 2 calls audio that is shorter cut.
    """
    tables = {"text": text, "utt2spk": utt2spk, "spk2utt": spk2utt(dict(utt2spk)), "wav.scp": wav}
    for name, table in zip(OPTIONAL, (utt2lang, utt2dur), strict=True):
        if table is None:
            (folder / name).unlink(missing_ok=True)
        else:
            tables[name] = table
    for name, table in tables.items():
        write_if_new(folder / name, table_text(dict(table)))


def write_partial(file: Path, whole: bool, sets: Mapping[str, str] | None = None) -> None:
    """Say that results from these data are partial, and which sets there are (``valid_set``, ``test_sets``).

    What an earlier run said is removed when the corpus is whole now.
    """
    if whole:
        file.unlink(missing_ok=True)
    else:
        write_if_new(file, "".join(f"{key} {value}\n" for key, value in (sets or {}).items()))


def write_if_new(file: Path, text: str) -> None:
    """Atomically write ``text`` unless the file has it already."""
    if not file.exists() or file.read_text(encoding="utf-8") != text:
        write_text(file, text)
