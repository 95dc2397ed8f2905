"""Error rates of a corpus: all errors over all reference units. Also what a unit is."""

from collections.abc import Sequence

import editdistance
import regex

from peft_asr.errors import UserError
from peft_asr.text.normalize import clean

UNITS = ("word", "char", "grapheme", "phone")

# Extended grapheme clusters (Unicode Standard Annex 29): what a reader calls one letter, marks included.
_CLUSTER = regex.compile(r"\X")


def error_rate(refs: Sequence[str], hyps: Sequence[str], unit: str = "word") -> float:
    """Corpus-level error rate in percent: summed edit distances over summed reference lengths.

    Long utterances weigh more than short ones, as in every published WER. It can exceed 100.

    Args:
        refs: reference transcripts.
        hyps: hypotheses, in the order of ``refs``.
        unit: one of ``UNITS``: WER, CER, grapheme-cluster error rate, PER.

    Raises:
        UserError: unknown unit, different numbers of references and hypotheses, or no reference unit at all.
    """
    if len(refs) != len(hyps):
        raise UserError(
            f"{len(refs)} references but {len(hyps)} hypotheses; an error rate needs one of each per utterance"
        )
    errors = total = 0
    for ref, hyp in zip(refs, hyps, strict=True):
        ref_units = split_units(ref, unit)
        errors += editdistance.eval(ref_units, split_units(hyp, unit))
        total += len(ref_units)
    if total == 0:
        raise UserError(f"the references hold no {unit} in {len(refs)} utterances, so there is no error rate")
    return 100.0 * errors / total


def split_units(text: str, unit: str) -> list[str]:
    """Text as the units that are counted.

    All see the text as ``text.normalize.clean`` leaves it: NFC, so that composed and decomposed accents are equal,
    and single spaces, none at the ends. Case and punctuation count. Characters are code points, graphemes are what a
    reader sees as one (a letter with the marks that no single code point has), and the space between two words is one
    of either (as in ESPnet), so a missing word boundary is an error. Words and phones stand between spaces.

    Raises:
        UserError: unknown unit.
    """
    cleaned = clean(text)
    if unit in ("word", "phone"):
        return cleaned.split()
    if unit == "char":
        return list(cleaned)
    if unit == "grapheme":
        return _CLUSTER.findall(cleaned)
    raise UserError(f"unknown unit '{unit}'; allowed: {', '.join(UNITS)}")
