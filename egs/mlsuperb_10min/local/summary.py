#!/usr/bin/env python3
"""One system's results on the benchmark: tracks and their average, languages, families, few-shot or not, SUPERB_s.

    local/summary.py --upstream hubert_base --peft weighted_sum [--size 10min] [--match TEXT] [--exp_dir exp]

Reads what stage 5 has left in the experiments of that upstream and method; an experiment counts if its name holds
--match (for instance a seed: --match _seed1). Prints Markdown.
"""

import argparse
import sys
from pathlib import Path

from omegaconf import DictConfig, OmegaConf
from superb_s import reference_values, superb_s
from tree import CONF, read_conf

from peft_asr.errors import UserError, nearest
from peft_asr.files import read_json

FAMILY_UNKNOWN = "not in conf/languages.tsv"
REFERENCES = ("original", "mhubert147")


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--exp_dir", type=Path, default=Path("exp"))
    parser.add_argument("--upstream", required=True)
    parser.add_argument("--peft", required=True)
    parser.add_argument("--size", choices=("10min", "1h"), default="10min")
    parser.add_argument("--pairs", default="all", help="as run.sh had it")
    parser.add_argument("--match", default="", help="part of the experiments' names")
    args = parser.parse_args()
    experiments = find_experiments(args.exp_dir, args.upstream, args.peft, args.match)
    lines, results = mono_table(experiments, mono_tracks(args.pairs), args.size)
    suffix = "" if args.pairs == "all" else f"_{args.pairs}"
    for task in ("asr", "lid", "asr_lid"):
        exp = one(experiments, task, f"train_{args.size}{suffix}")
        if exp is None:
            lines += ["", f"multilingual {task}: no result"]
        else:
            lines += ["", *multi_table(exp, exp / f"decode_test_10min{suffix}", task, results)]
    lines += ["", *score_lines(results, args.size)]
    print("\n".join(lines))


def mono_tracks(pairs: str) -> list[dict[str, str]]:
    """The benchmark's 13 tracks, or one for each pair of a list in conf/pairs.tsv.

    Raises:
        UserError: there is no such list.
    """
    if pairs == "all":
        return read_conf(CONF / "tracks.tsv")
    lists = {row["name"]: row["pairs"].split() for row in read_conf(CONF / "pairs.tsv")}
    if pairs not in lists:
        raise UserError(f"unknown --pairs '{pairs}'{nearest(pairs, lists)}; allowed: all, {', '.join(lists)}")
    return [{"track": p, "language": p.split("_")[0], "source": p.split("_", 1)[1]} for p in lists[pairs]]


def find_experiments(exp_dir: Path, upstream: str, peft: str, match: str) -> list[tuple[Path, DictConfig]]:
    """Scored experiments of that upstream and method, with their configurations.

    Raises:
        UserError: there is none.
    """
    found, others = [], set()
    for config_file in sorted(exp_dir.glob("*/config.yaml")):
        exp, config = config_file.parent, OmegaConf.load(config_file)
        name = config.peft.asked or config.peft.spec
        others.add(f"{config.upstream.name} {name}")
        if (
            config.upstream.name == upstream
            and name == peft
            and match in exp.name
            and any(exp.glob("decode_*/score_*"))
        ):
            found.append((exp, config))
    if not found:
        raise UserError(
            f"{exp_dir} has no scored experiment with --upstream {upstream} --peft {peft} and '{match}' in its name; "
            f"it has: {'; '.join(sorted(others)) or 'none at all'}"
        )
    return found


def one(experiments: list[tuple[Path, DictConfig]], task: str, train_set: str) -> Path | None:
    """The experiment of a task that trained on this set; None without one.

    Raises:
        UserError: there are several.
    """
    fits = [
        e for e, config in experiments if (config.task, Path(config.data.train_dir).name) == (task, train_set)
    ]
    if len(fits) > 1:
        names = ", ".join(exp.name for exp in fits)
        raise UserError(f"{len(fits)} experiments are {task} on {train_set}: {names}; choose with --match")
    return fits[0] if fits else None


def mono_table(experiments: list, tracks: list[dict], size: str) -> tuple[list[str], dict]:
    """One line a track; the average per language, then over languages. The result ``mono`` if all are there."""
    lines, by_language = ["| track | trained on | error rate % |", "| --- | --- | --- |"], {}
    for row in tracks:
        exp = one(experiments, "asr", f"train_{size}_{row['track']}")
        rate = None
        if exp is not None:
            # Phones stand between blanks, as words do.
            unit = "wer" if row["track"] in ("jpn", "cmn") else "cer"
            result = exp / f"decode_test_10min_{row['track']}" / f"score_{unit}" / "result.json"
            rate = read_json(result)["rate"]
            by_language.setdefault(row["language"], []).append(rate)
        lines.append(f"| {row['track']} | {row['source']} | {'-' if rate is None else f'{rate:.2f}'} |")
    if not by_language:
        return [*lines, "", "monolingual average: no result"], {}
    languages = {row["language"] for row in tracks}
    done = sum(map(len, by_language.values()))
    average = sum(sum(rates) / len(rates) for rates in by_language.values()) / len(by_language)
    parts = f"{len(by_language)} of {len(languages)} languages ({done} of {len(tracks)} tracks)"
    lines += ["", f"average over {parts}: {average:.2f}"]
    return lines, {"mono": average} if done == len(tracks) else {}


def multi_table(exp: Path, decoded: Path, task: str, results: dict) -> list[str]:
    """One multilingual experiment by few-shot or not, family and language; adds what SUPERB_s needs to ``results``."""
    lines = [
        f"multilingual {task} ({exp.name})",
        "",
        "| group | languages | CER % | LID accuracy % |",
        "| --- | --- | --- | --- |",
    ]
    cer = by_lang(decoded / "score_cer") if task != "lid" else {}
    lid = by_lang(decoded / "score_lid") if task != "asr" else {}
    few_shot = {row["language"] for row in read_conf(CONF / "few_shot.tsv")}
    family_of = {row["code"]: row["family"] for row in read_conf(CONF / "languages.tsv")}
    languages = sorted(cer or lid)
    groups = {
        "normal": [c for c in languages if c not in few_shot],
        "few-shot": [c for c in languages if c in few_shot],
    }
    for family in sorted({family_of.get(code, FAMILY_UNKNOWN) for code in languages}):
        groups[family] = [code for code in languages if family_of.get(code, FAMILY_UNKNOWN) == family]
    groups |= {code: [code] for code in languages}
    for name, codes in groups.items():
        cells = (pooled(cer, codes), accuracy(lid, codes))
        written = ["-" if cell is None else f"{cell:.2f}" for cell in cells]
        lines.append(f"| {name} | {len(codes)} | {' | '.join(written)} |")
    rates = [
        rate for rate in (pooled(cer, groups["normal"]), pooled(cer, groups["few-shot"])) if rate is not None
    ]
    if task == "asr":
        results["multi"] = rates
    else:
        results["lid" if task == "lid" else "joint_acc"] = accuracy(lid, groups["normal"])
        if task == "asr_lid":
            results["joint_cer"] = rates
    return lines


def by_lang(folder: Path) -> dict[str, dict]:
    found = read_json(folder / "result.json").get("by_lang")
    if not found:
        raise UserError(f"{folder}/result.json has no rates by language; run stage 5 again")
    return found


def pooled(rates: dict[str, dict], codes: list[str]) -> float | None:
    """Errors over reference units of these languages together, in %."""
    units = sum(rates[code]["ref_units"] for code in codes if code in rates)
    return 100.0 * sum(rates[code]["errors"] for code in codes if code in rates) / units if units else None


def accuracy(rates: dict[str, dict], codes: list[str]) -> float | None:
    error = pooled(rates, codes)
    return None if error is None else 100.0 - error


def score_lines(results: dict, size: str) -> list[str]:
    needed = reference_values(REFERENCES[0], size)["best"]
    if missing := [name for name in needed if name not in results]:
        return [f"SUPERB_s: not all results are there; missing: {', '.join(missing)}"]
    few = "" if len(results["multi"]) == 2 else ", without few-shot languages"
    return [
        f"SUPERB_s ({name} reference values{few}): {superb_s(results, name, size):.2f}" for name in REFERENCES
    ]


if __name__ == "__main__":
    try:
        main()
    except UserError as err:
        sys.exit(f"summary.py: error: {err}")
