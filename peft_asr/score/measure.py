"""One rate of a test set, written as readers of sclite expect it: ref.trn, hyp.trn, result.txt, result.json."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from peft_asr.files import write_json, write_text
from peft_asr.score.alignments import align_all
from peft_asr.score.corpus import Pair
from peft_asr.score.errors import ErrorCounts
from peft_asr.score.interval import RESAMPLES, bootstrap_interval
from peft_asr.score.languages import by_language, mean_rate
from peft_asr.score.rates import split_units
from peft_asr.score.result_txt import Scored, render

UNIT_OF = {"wer": "word", "cer": "char", "ger": "grapheme", "per": "phone"}


@dataclass(frozen=True)
class Run:
    """What all rates of one scoring have in common.

    Attributes:
        out: decoding directory.
        ref, hyp: the files, for the record.
        normaliser: what the transcripts went through, both sides alike.
        seed: of the bootstrap.
        nj: processes.
    """

    out: str
    ref: str
    hyp: str
    normaliser: str
    seed: int = 0
    nj: int = 1


def measure(
    pairs: Sequence[Pair],
    unit: str,
    run: Run,
    extra: dict[str, Any] | None = None,
    scored: list[Scored] | None = None,
) -> tuple[dict[str, Any], list[Scored]]:
    """Align and count.

    Args:
        pairs: P pairs, normalised.
        unit: as ``split_units`` takes it, or ``language``: the text is one code.
        run: with what.
        extra: further entries of the result.
        scored: the alignments, if they are known already.

    Returns:
        What result.json is to hold, and the alignments.
    """
    if scored is None:
        scored = align_all(pairs, _split_as(unit), run.nj)
    result = {
        **summarise(scored, unit, run.seed),
        "normaliser": run.normaliser,
        "missing": [pair.utt_id for pair in pairs if pair.hyp is None],
        "ref": run.ref,
        "hyp": run.hyp,
        **(extra or {}),
    }
    languages = by_language(scored)
    return result | ({"by_lang": languages} if languages else {}), scored


def write(
    pairs: Sequence[Pair],
    name: str,
    run: Run,
    result: dict[str, Any],
    scored: Sequence[Scored],
    head: Sequence[str] = (),
    notes: Sequence[str] = (),
) -> None:
    """Write ``out/score_<name>`` of what ``measure`` found.

    Args:
        name: of the rate, e.g. ``wer``.
        head, notes: further lines of result.txt, before and after its own notes.
    """
    unit = _split_as(result["unit"])
    folder = Path(run.out) / f"score_{name}"
    write_text(folder / "ref.trn", "".join(_trn(pair, pair.ref, unit) for pair in pairs))
    write_text(folder / "hyp.trn", "".join(_trn(pair, pair.hyp or "", unit) for pair in pairs))
    page = [*head, *_notes(name, result), *notes]
    if result["unit"] != "language":
        page += _language_lines(result.get("by_lang", {}))
    write_text(folder / "result.txt", render(scored, result["unit"], page))
    write_json(folder / "result.json", result)


def summarise(scored: Sequence[Scored], unit: str, seed: int) -> dict[str, Any]:
    """The numbers of result.json: rate and interval in percent, counts, and the mean of the utterances' own rates."""
    total = sum((item.counts for item in scored), ErrorCounts())
    low, high = bootstrap_interval(
        [item.counts.errors for item in scored], [item.counts.ref for item in scored], seed=seed
    )
    return {
        "unit": unit,
        "rate": total.rate,
        "interval_95": [low, high],
        "resamples": RESAMPLES,
        "seed": seed,
        "sentences": total.sentences,
        "wrong_sentences": total.wrong_sentences,
        "ref_units": total.ref,
        "cor": total.cor,
        "sub": total.sub,
        "del": total.del_,
        "ins": total.ins,
        "errors": total.errors,
        "mean_utterance_rate": mean_rate(scored),
    }


def _split_as(unit: str) -> str:
    return "word" if unit == "language" else unit


def _trn(pair: Pair, text: str, unit: str) -> str:
    units = " ".join("<space>" if part == " " else part for part in split_units(text, unit))
    return f"{units}\t({pair.speaker}-{pair.utt_id})\n"


def _notes(name: str, result: dict[str, Any]) -> list[str]:
    low, high = result["interval_95"]
    draws = f"{result['resamples']} resamples of {result['sentences']} utterances, seed {result['seed']}"
    kinds = f"{result['sub']} substituted, {result['del']} deleted, {result['ins']} inserted"
    missing = result["missing"]
    title = "LID error" if name == "lid" else name.upper()
    return [
        f"{title} {result['rate']:.2f} %, 95 % interval {low:.2f} to {high:.2f} (bootstrap: {draws})",
        f"errors: {result['errors']} of {result['ref_units']} {result['unit']}s: {kinds}",
        f"mean over utterances of their own rates: {result['mean_utterance_rate']:.2f} %",
        f"missing hypotheses, counted as deletions: {len(missing)} {' '.join(missing)}".rstrip(),
        f"text normaliser: {result['normaliser']}",
    ]


def _language_lines(languages: dict[str, dict[str, Any]]) -> list[str]:
    """A table by language; with one language it would only repeat the whole."""
    if len(languages) < 2:
        return []
    head = f"{'language':<10} {'# Snt':>6} {'# units':>8} {'errors':>7} {'rate %':>7} {'mean of utterances %':>21}"
    rows = [
        f"{code:<10} {part['sentences']:>6} {part['ref_units']:>8} {part['errors']:>7} {part['rate']:>7.2f} "
        f"{part['mean_utterance_rate']:>21.2f}"
        for code, part in languages.items()
    ]
    average = sum(part["rate"] for part in languages.values()) / len(languages)
    return ["", head, *rows, f"mean of the {len(languages)} languages: {average:.2f} %"]
