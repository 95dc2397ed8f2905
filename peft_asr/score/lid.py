"""Language identification: accuracy with its interval, and who is taken for whom."""

from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from peft_asr.errors import UserError
from peft_asr.files import write_json, write_text
from peft_asr.score.corpus import Pair
from peft_asr.score.errors import ErrorCounts, percent
from peft_asr.score.measure import Run, measure, write
from peft_asr.score.result_txt import Scored

NO_LANGUAGE = "<none>"


def score_lid(pairs: Sequence[Pair], run: Run) -> tuple[dict[str, Any], list[Scored]]:
    """Write ``out/score_lid``: an utterance is right or wrong; one without a hypothesised language is wrong.

    Args:
        pairs: P pairs whose texts are language codes; an empty hypothesis names no language.
        run: where to and with what.

    Returns:
        As ``measure``; besides, ``accuracy`` and ``accuracy_95`` in percent, ``macro_accuracy`` (mean over languages)
        and ``confusion`` (reference -> hypothesis -> utterances).

    Raises:
        UserError: a hypothesis is more than one code.
    """
    confusion: dict[str, Counter] = {}
    for pair in pairs:
        if len((pair.hyp or "").split()) > 1:
            raise UserError(f"{run.hyp}: '{pair.hyp}' of utterance '{pair.utt_id}' is not one language code")
        confusion.setdefault(pair.ref, Counter())[pair.hyp or NO_LANGUAGE] += 1
    recalls = {code: percent(row[code], row.total()) for code, row in sorted(confusion.items())}
    extra = {
        "confusion": {code: dict(sorted(row.items())) for code, row in sorted(confusion.items())},
        "macro_accuracy": sum(recalls.values()) / len(recalls),
        "no_language": sum(row[NO_LANGUAGE] for row in confusion.values()),
    }
    result, scored = measure(pairs, "language", run, extra)
    low, high = (100.0 - bound for bound in reversed(result["interval_95"]))
    result |= {"accuracy": 100.0 - result["rate"], "accuracy_95": [low, high]}
    head = (
        f"LID accuracy {result['accuracy']:.2f} %, 95 % interval {low:.2f} to {high:.2f}; "
        f"mean over languages {result['macro_accuracy']:.2f} %"
    )
    notes = [f"utterances without a language: {extra['no_language']}", *_table(confusion, recalls)]
    write(pairs, "lid", run, result, scored, [head], notes)
    return result, scored


def score_joint(lid: Sequence[Scored], chars: Sequence[Scored], run: Run) -> dict[str, Any]:
    """Write ``out/score_joint``: language and text of the same utterances side by side.

    Args:
        lid: the languages' alignments.
        chars: the characters' alignments of the same utterances, language tokens apart.
        run: where to and with what.

    Returns:
        LID accuracy; CER over all utterances, over those whose language was right, and over the others (None where
        there are none); CER with the language token counted as one more character; accuracy and CER by language.
    """
    right = {item.utt_id for item in lid if not item.counts.errors}
    groups = {
        "cer": list(chars),
        "cer_language_right": [item for item in chars if item.utt_id in right],
        "cer_language_wrong": [item for item in chars if item.utt_id not in right],
    }
    languages = sorted({item.lang for item in chars if item.lang is not None})
    result = {
        "normaliser": run.normaliser,
        "sentences": len(lid),
        "lid_accuracy": percent(len(right), len(lid)),
        **{name: _rate(items) for name, items in groups.items()},
        "cer_with_token": _rate([*chars, *lid]),
        "by_lang": {
            code: {
                "sentences": sum(item.lang == code for item in chars),
                "accuracy": 100.0 - _rate([item for item in lid if item.lang == code]),
                "cer": _rate([item for item in chars if item.lang == code]),
            }
            for code in languages
        },
    }
    folder = Path(run.out) / "score_joint"
    write_text(folder / "result.txt", _joint_page(result))
    write_json(folder / "result.json", result)
    return result


def _rate(scored: Sequence[Scored]) -> float | None:
    total = sum((item.counts for item in scored), ErrorCounts())
    return total.rate if total.ref else None


def _table(confusion: dict[str, Counter], recalls: dict[str, float]) -> list[str]:
    """One line a language: utterances, accuracy, and what the wrong ones were taken for, most frequent first."""
    lines = ["", f"{'language':<10} {'# Snt':>6} {'accuracy %':>11}  taken for"]
    for code, accuracy in recalls.items():
        wrong = sorted((-number, other) for other, number in confusion[code].items() if other != code)
        taken = ", ".join(f"{other} {-number}" for number, other in wrong)
        lines.append(f"{code:<10} {confusion[code].total():>6} {accuracy:>11.2f}  {taken}".rstrip())
    return lines


def _joint_page(result: dict[str, Any]) -> str:
    rates = (
        ("LID accuracy", "lid_accuracy"),
        ("CER, language token apart", "cer"),
        ("CER where the language is right", "cer_language_right"),
        ("CER where the language is wrong", "cer_language_wrong"),
        ("CER with the language token as one character", "cer_with_token"),
    )
    lines = [f"{title}: {_percent(result[key])}" for title, key in rates]
    lines += [f"utterances: {result['sentences']}", f"text normaliser: {result['normaliser']}", ""]
    lines.append(f"{'language':<10} {'# Snt':>6} {'LID %':>7} {'CER %':>7}")
    for code, part in result["by_lang"].items():
        cer = "-" if part["cer"] is None else f"{part['cer']:.2f}"
        lines.append(f"{code:<10} {part['sentences']:>6} {part['accuracy']:>7.2f} {cer:>7}")
    return "\n".join(lines) + "\n"


def _percent(rate: float | None) -> str:
    return "-" if rate is None else f"{rate:.2f} %"
