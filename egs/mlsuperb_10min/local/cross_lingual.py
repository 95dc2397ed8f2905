#!/usr/bin/env python3
"""The zero-shot matrix: models of one language each, tested on several; mean and deviation of the utterances' CER.

Reads ``<exp_dir>/<language>/<experiment>/decode_<prefix><language>/score_cer/{ref,hyp}.trn``, which
local/cross_lingual.sh has made, and prints Markdown: mean ± standard deviation, and
the corpus CER (all errors over all characters) in brackets.
"""

import argparse
import re
import statistics
import sys
from pathlib import Path

import editdistance

from peft_asr.errors import UserError


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--exp_dir", type=Path, required=True)
    parser.add_argument("--prefix", required=True, help="of the test sets' names")
    parser.add_argument("--langs", nargs="+", required=True)
    args = parser.parse_args()
    groups: dict[str, dict[str, Path]] = {}
    for lang, exp in experiments(args.exp_dir, args.langs):
        groups.setdefault(without(exp.name, lang), {})[lang] = exp
    for name, own in groups.items():
        print(f"\n{name}: rows are what was trained on\n")
        print(f"| | {' | '.join(args.langs)} |\n|{' --- |' * (len(args.langs) + 1)}")
        for lang in args.langs:
            cells = (
                [cell(own[lang] / f"decode_{args.prefix}{other}") for other in args.langs]
                if lang in own
                else []
            )
            print(f"| {lang} | {' | '.join(cells) or 'no result'} |")


def without(name: str, lang: str) -> str:
    """An experiment's name without the language that it was trained on."""
    return re.sub(f"_{re.escape(lang)}(?=_|$)", "", name)


def experiments(exp_dir: Path, langs: list[str]) -> list[tuple[str, Path]]:
    """(language, experiment) of all that there are."""
    found = [(lang, file.parent) for lang in langs for file in sorted((exp_dir / lang).glob("*/config.yaml"))]
    if not found:
        raise UserError(
            f"{exp_dir} has no experiment of {', '.join(langs)}; local/cross_lingual.sh makes them"
        )
    return found


def cell(decoded: Path) -> str:
    """``mean +- std (corpus CER)`` of one decoded set."""
    try:
        refs, hyps = (read_trn(decoded / "score_cer" / f"{side}.trn") for side in ("ref", "hyp"))
    except FileNotFoundError:
        return "-"
    errors = {utt: editdistance.eval(units, hyps[utt]) for utt, units in refs.items()}
    rates = [100.0 * errors[utt] / len(units) for utt, units in refs.items() if units]
    spread = statistics.stdev(rates) if len(rates) > 1 else 0.0
    total = 100.0 * sum(errors.values()) / sum(map(len, refs.values()))
    return f"{statistics.mean(rates):.2f} ± {spread:.2f} ({total:.2f})"


def read_trn(path: Path) -> dict[str, list[str]]:
    """Utterance -> units, of lines ``units<TAB>(speaker-utterance)``."""
    rows = (line.rpartition("\t") for line in path.read_text(encoding="utf-8").splitlines())
    return {utt: units.split() for units, _, utt in rows}


if __name__ == "__main__":
    try:
        main()
    except UserError as err:
        sys.exit(f"cross_lingual.py: error: {err}")
