"""Languages of references and hypotheses, and every rate by language."""

import logging
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import regex

from peft_asr.data.tables import read_table, scan_table
from peft_asr.errors import UserError, nearest
from peft_asr.score.corpus import Pair
from peft_asr.score.errors import ErrorCounts
from peft_asr.score.result_txt import Scored

log = logging.getLogger(__name__)

# Scripts that put no blanks between words.
_UNSPACED = regex.compile(r"[\p{Han}\p{Hiragana}\p{Katakana}\p{Thai}\p{Lao}\p{Khmer}\p{Myanmar}\p{Tibetan}]")
_LETTER = regex.compile(r"\p{L}")


def reference_languages(path: str | None, beside: str, needed: bool) -> tuple[str | None, dict[str, str]]:
    """Utterance -> language of the references.

    Args:
        path: the file; None: ``utt2lang`` beside the references, if there is one.
        beside: the references.
        needed: the task cannot be scored without.

    Returns:
        The file that was read (None: none) and its content.

    Raises:
        UserError: needed, and not there; malformed; a language of more than one word.
    """
    found = path or str(Path(beside).parent / "utt2lang")
    if not Path(found).is_file():
        if path or needed:
            raise UserError(
                f"{found} does not exist; --ref_lang names the languages of the references (utt2lang)"
            )
        return None, {}
    table = scan_table(found)
    languages = read_table(found)
    for utt_id, code in languages.items():
        if len(code.split()) != 1:
            raise UserError(f"{table.at(utt_id)}: '{code}' of utterance '{utt_id}' is not one language code")
    return found, languages


def language_file(path: str | None, hyp_path: str) -> str:
    """The hypothesised languages: ``path``, or ``lang`` beside the hypotheses.

    Raises:
        UserError: there is no such file.
    """
    found = path or str(Path(hyp_path).parent / "lang")
    if not Path(found).is_file():
        raise UserError(
            f"{found} does not exist; stage 4 writes it for the tasks lid and asr_lid, and --hyp_lang names it"
        )
    return found


def check_codes(pairs: Sequence[Pair], known: Sequence[str], hyp_path: str) -> None:
    """Languages of references and hypotheses against those of the token list; none known: nothing is checked.

    A reference in a language that the model does not know can only be wrong: that is said, not refused.

    Raises:
        UserError: a hypothesis names a language that the model cannot name.
    """
    if not known:
        return
    for pair in pairs:
        if pair.hyp and pair.hyp not in known:
            raise UserError(
                f"{hyp_path}: unknown language '{pair.hyp}' of utterance '{pair.utt_id}'{nearest(pair.hyp, known)}; "
                f"the token list (--token_dir) has: {', '.join(known)}"
            )
    strange = Counter(pair.ref for pair in pairs if pair.ref not in known)
    if strange:
        log.warning(
            "%d of %d utterances are in languages that the token list does not have, and count as wrong: %s",
            strange.total(), len(pairs), " ".join(f"{code} {number}" for code, number in sorted(strange.items())),
        )  # fmt: skip


def by_language(scored: Sequence[Scored]) -> dict[str, dict[str, Any]]:
    """Language -> its corpus rate, counts, and the mean over its utterances' own rates; empty where none is known."""
    groups: dict[str, list[Scored]] = {}
    for item in scored:
        if item.lang is not None:
            groups.setdefault(item.lang, []).append(item)
    found = {}
    for code in sorted(groups):
        total = sum((item.counts for item in groups[code]), ErrorCounts())
        if total.ref == 0:  # e.g. every transcript empty: there is no rate
            continue
        found[code] = {
            "rate": total.rate,
            "errors": total.errors,
            "ref_units": total.ref,
            "sentences": total.sentences,
            "mean_utterance_rate": mean_rate(groups[code]),
        }
    return found


def mean_rate(scored: Sequence[Scored]) -> float:
    """Mean of the utterances' own rates in percent, those without a reference unit left out."""
    own = [item.counts.rate for item in scored if item.counts.ref]
    return sum(own) / len(own)


def unspaced(pairs: Sequence[Pair]) -> list[str]:
    """Languages (``all`` where none is known) most of whose letters are of scripts without blanks between words."""
    texts: dict[str, list[str]] = {}
    for pair in pairs:
        texts.setdefault(pair.lang or "all", []).append(pair.ref)
    return sorted(code for code, lines in texts.items() if _share("".join(lines)) > 0.5)


def _share(text: str) -> float:
    letters = len(_LETTER.findall(text))
    return len(_UNSPACED.findall(text)) / letters if letters else 0.0
