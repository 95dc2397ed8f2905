"""The whole way: read, check, split, and only then write."""

import re
from dataclasses import dataclass
from pathlib import Path

from peft_asr.data.corpus.check import Utterance, check_audio, check_texts
from peft_asr.data.corpus.read import read_corpus
from peft_asr.data.corpus.splits import make_sets, planned_sets
from peft_asr.data.corpus.write import write_set
from peft_asr.data.tables import counted
from peft_asr.errors import UserError
from peft_asr.files import write_if_changed, write_text

_SHOWN = 3


@dataclass
class Imported:
    """What was written: set name -> a line about it; and what the user should know."""

    sets: dict[str, str]
    notes: list[str]


def import_corpus(
    corpus: str,
    out: Path,
    prefix: str = "",
    data_seed: int = 0,
    lang: str | None = None,
    audio_dir: Path | None = None,
    allow_pipes: bool = False,
    skip_bad: bool = False,
) -> Imported:
    """Make Kaldi directories of a corpus: ``out/<prefix>train``, ``<prefix>dev`` and its test sets.

    ``out/<prefix>sets`` names them. The same corpus and seed give the same bytes.

    Args:
        corpus: as for ``read_corpus``.
        out: where to write.
        prefix: of the sets' names.
        data_seed: of a split by speaker, where the corpus has none.
        lang: the language of rows that do not say it.
        audio_dir: as for ``read_corpus``.
        allow_pipes: accept commands as audio; they are not run here.
        skip_bad: leave utterances out whose audio cannot be used; ``out/<prefix>left_out.txt`` lists them.

    Raises:
        UserError: the corpus cannot be read, or rows are wrong: ``out/<prefix>problems.txt`` then lists all of them,
            and nothing else is written.
    """
    listing = read_corpus(corpus, audio_dir)
    for row in listing.rows:
        row.lang = row.lang or lang
    utterances, problems = check_texts(listing.rows)
    bad = check_audio(utterances, allow_pipes)
    notes = listing.notes + _about_speakers(utterances)
    left_out = list(bad.values()) if skip_bad else []
    if not skip_bad:
        problems += bad.values()
    _stop_at(listing.problems + problems, corpus, out / f"{prefix}problems.txt", listing.advice)
    utterances = [u for u in utterances if u.utt_id not in bad]
    if not utterances:
        raise UserError(f"{corpus} has no utterances")
    sets, drawn = make_sets(utterances, data_seed)
    empty = [name for name, members in sets.items() if not members]
    if empty:
        raise UserError(f"{corpus}: nothing is left for the set {empty[0]}")
    langs = {u.utt_id: u.row.lang for u in utterances if u.row.lang}
    for name, members in sets.items():
        write_set(out / f"{prefix}{name}", members, langs)
    if left_out:
        write_if_changed(out / f"{prefix}left_out.txt", "".join(f"{problem}\n" for problem in left_out))
        where = f"listed in {out / f'{prefix}left_out.txt'}"
        notes.append(f"{counted(len(left_out), 'utterance')} left out for audio, {where}: {left_out[0]}")
    write_if_changed(out / f"{prefix}sets", sets_text(list(sets), prefix))
    return Imported({f"{prefix}{name}": _about(members) for name, members in sets.items()}, notes + drawn)


def list_sets(corpus: str, prefix: str = "", audio_dir: Path | None = None) -> str:
    """What ``out/<prefix>sets`` will say: lines ``train_set NAME``, ``valid_set NAME``, ``test_sets NAME ...``."""
    return sets_text(planned_sets({row.split for row in read_corpus(corpus, audio_dir).rows}), prefix)


def sets_text(names: list[str], prefix: str) -> str:
    """Without a test set the dev set is tested on."""
    train, dev, *tests = (prefix + name for name in names)
    return f"train_set {train}\nvalid_set {dev}\ntest_sets {' '.join(tests or [dev])}\n"


def _stop_at(problems: list[str], corpus: str, file: Path, hints: list[str]) -> None:
    if not problems:
        file.unlink(missing_ok=True)
        return
    problems = sorted(problems, key=_in_line_order)
    write_text(file, "".join(f"{problem}\n" for problem in problems))
    more = "" if len(problems) <= _SHOWN else f"; and {len(problems) - _SHOWN} more"
    advice = "".join(f"; {text}" for text in hints)
    if any("no such file" in problem for problem in problems):
        advice += "; --audio_dir says where relative paths start"
    raise UserError(
        f"{corpus}: {counted(len(problems), 'problem')}, all listed in {file}, nothing else was written: "
        f"{'; '.join(problems[:_SHOWN])}{more}{advice}"
    )


def _in_line_order(problem: str) -> list[str | int]:
    """``corpus.tsv:9: ...`` before ``corpus.tsv:10: ...``."""
    return [int(part) if part.isdecimal() else part for part in re.split(r"([0-9]+)", problem)]


def _about_speakers(utterances: list[Utterance]) -> list[str]:
    unknown = sum(u.row.speaker is None for u in utterances)
    if not unknown:
        return []
    return [
        f"warning: {counted(unknown, 'utterance')} without a speaker: each counts as a speaker of its own, so a person "
        "may be heard in training and in the test set"
    ]


def _about(utterances: list[Utterance]) -> str:
    known = [u.seconds for u in utterances if u.seconds is not None]
    hours = f"{sum(known) / 3600:.2f} h"
    if len(known) < len(utterances):
        hours += f" and {len(utterances) - len(known)} of unknown length"
    speakers = len({u.speaker for u in utterances})
    return f"{counted(len(utterances), 'utterance')}, {counted(speakers, 'speaker')}, {hours}"
