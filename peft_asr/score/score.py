"""Stage 5: the error rates of one decoded set, by task."""

import logging
from collections.abc import Sequence
from typing import Any

from peft_asr.errors import UserError, nearest
from peft_asr.score.corpus import Pair, load_pairs, normalise_pairs, normalizer_of
from peft_asr.score.languages import check_codes, language_file, reference_languages, unspaced
from peft_asr.score.lid import score_joint, score_lid
from peft_asr.score.measure import UNIT_OF, Run, measure, write
from peft_asr.score.phones import load_tokenizer, to_phones
from peft_asr.score.rates import split_units
from peft_asr.text.tokenizer import Tokenizer

# task -> the rates of its text
TASKS = {"asr": ("wer", "cer", "ger"), "pr": ("per",), "lid": (), "asr_lid": ("wer", "cer", "ger")}

log = logging.getLogger(__name__)


def score(
    ref: str,
    hyp: str,
    out: str,
    *,
    task: str = "asr",
    utt2spk: str | None = None,
    normalizer: str | None = None,
    token_dir: str | None = None,
    ref_lang: str | None = None,
    hyp_lang: str | None = None,
    seed: int = 0,
    nj: int = 1,
) -> dict[str, dict[str, Any]]:
    """Score hypotheses and write ``out/score_<rate>`` for every rate of the task.

    ========  ============================================================================================
    asr       wer; cer (NFC code points); ger (grapheme clusters)
    pr        per: references through the lexicon; utterances that it cannot spell are left out and counted
    lid       lid: accuracy, confusion
    asr_lid   as asr, on the text without the language; lid; joint
    ========  ============================================================================================

    Args:
        ref, hyp, utt2spk: Kaldi files, as ``load_pairs`` takes them. lid reads the two files of languages instead.
        out: a decoding directory.
        task: one of ``TASKS``.
        normalizer: of both sides, by name; None: what the file ``normalizer`` beside ``ref`` says, else none.
        token_dir: the token list; pr needs it, and lid and asr_lid take from it which languages there are.
        ref_lang: languages of the references; None: ``utt2lang`` beside ``ref``, if it is there. Every rate is then
            given by language, too.
        hyp_lang: languages that lid and asr_lid have chosen; None: ``lang`` beside ``hyp``.
        seed: of the bootstrap.
        nj: processes; the result is the same.

    Returns:
        rate -> what its result.json holds.

    Raises:
        UserError: unknown task or normaliser; as ``load_pairs``; the references hold no unit; a file of languages is
            missing or has unknown codes.
    """
    if task not in TASKS:
        raise UserError(f"unknown --task '{task}'{nearest(task, TASKS)}; allowed: {', '.join(TASKS)}")
    has_lid = task in ("lid", "asr_lid")
    ref_lang, languages = reference_languages(ref_lang, ref, needed=has_lid)
    tokenizer = load_tokenizer(token_dir, task) if task == "pr" or (has_lid and token_dir) else None
    results, scored = {}, {}
    if TASKS[task]:
        name = normalizer_of(ref) if normalizer is None else normalizer
        run = Run(out, ref, hyp, name, seed, nj)
        raw = load_pairs(ref, hyp, utt2spk, languages)
        if ref_lang:
            _check_cover(raw, languages, ref_lang, ref)
        pairs = normalise_pairs(raw, name, hyps=task != "pr")
        for rate, (result, items) in _text_rates(pairs, task, tokenizer, run).items():
            results[rate], scored[rate] = result, items
    if has_lid:
        hyp_lang = language_file(hyp_lang, hyp)
        pairs = load_pairs(ref_lang, hyp_lang, utt2spk, languages)
        check_codes(pairs, tokenizer.languages if tokenizer else [], hyp_lang)
        _say_missing(pairs, hyp_lang)
        run = Run(out, ref_lang, hyp_lang, "none", seed, nj)
        results["lid"], scored["lid"] = score_lid(pairs, run)
    if task == "asr_lid":
        run = Run(out, ref, hyp, results["cer"]["normaliser"], seed, nj)
        results["joint"] = score_joint(scored["lid"], scored["cer"], run)
    return results


def _text_rates(pairs: list[Pair], task: str, tokenizer: Tokenizer | None, run: Run) -> dict[str, tuple]:
    if not any(split_units(pair.ref, "word") for pair in pairs):
        raise UserError(
            f"{run.ref}: all {len(pairs)} transcripts are empty, so there is no error rate; "
            "check --ref and --normalizer"
        )
    notes, extra = [], {}
    if task == "pr":
        pairs, left_out = to_phones(pairs, tokenizer, run.ref)
        notes = [f"left out, a word is not in the lexicon: {len(left_out)} {' '.join(left_out)}".rstrip()]
        extra = {"left_out": left_out}
    _say_missing(pairs, run.hyp)
    results: dict[str, tuple] = {}
    for rate in TASKS[task]:
        said, more, known = notes, extra, None
        if rate == "wer" and (codes := unspaced(pairs)):
            said, more = [_unspaced_note(codes)], {"unspaced": codes}
        if rate == "ger" and _same_units(pairs):
            known = results["cer"][1]
        result, scored = measure(pairs, UNIT_OF[rate], run, more, known)
        write(pairs, rate, run, result, scored, notes=said)
        results[rate] = (result, scored)
    return results


def _same_units(pairs: Sequence[Pair]) -> bool:
    """Every grapheme cluster is one code point: then the alignments of one are those of the other."""
    texts = (text for pair in pairs for text in (pair.ref, pair.hyp or ""))
    return all(split_units(text, "grapheme") == split_units(text, "char") for text in texts)


def _unspaced_note(codes: Sequence[str]) -> str:
    which = "the references" if list(codes) == ["all"] else f"the references in {', '.join(codes)}"
    return f"{which} are in a script without blanks between words: here a word is what stands between blanks; see CER"


def _say_missing(pairs: Sequence[Pair], hyp: str) -> None:
    missing = [pair.utt_id for pair in pairs if pair.hyp is None]
    if missing:
        log.warning(
            "%s: no hypothesis for %d of %d utterances, counted as deletions: %s",
            hyp, len(missing), len(pairs), " ".join(missing),
        )  # fmt: skip


def _check_cover(pairs: Sequence[Pair], languages: dict[str, str], ref_lang: str, ref: str) -> None:
    for pair in pairs:
        if pair.utt_id not in languages:
            raise UserError(
                f"{ref_lang} has no language for utterance '{pair.utt_id}' of {ref}; check --ref_lang"
            )


def rates_line(name: str, result: dict[str, Any], out: str) -> str:
    """One line for the terminal."""
    if name == "joint":
        both = f"LID {result['lid_accuracy']:.2f} %, CER {result['cer']:.2f} %"
        return f"joint: {both}  {out}/score_joint/result.txt"
    key, title = ("accuracy", "LID accuracy") if name == "lid" else ("rate", name.upper())
    low, high = result["accuracy_95" if name == "lid" else "interval_95"]
    return f"{title} {result[key]:.2f} % ({low:.2f} to {high:.2f})  {out}/score_{name}/result.txt"
