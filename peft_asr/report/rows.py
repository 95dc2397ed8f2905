"""One row of results for each experiment and test set, collected from what the stages left."""

import datetime
import re
import subprocess
from pathlib import Path
from typing import Any

from peft_asr.config import Config, load_config
from peft_asr.errors import UserError
from peft_asr.files import read_json
from peft_asr.peft import changed_options
from peft_asr.report.environment import environment_line

Row = dict[str, Any]

RANDOM_WEIGHTS = " (random weights)"
PICTURES = (".png", ".svg", ".pdf")

# A row replaces an older one in which all of these are equal; all but the seed are what a mean is taken over.
GROUP = ("task", "upstream", "method", "options", "tag", "set")
KEY = (*GROUP, "seed")

# What stage 5 must have left for each task.
RATES_OF_TASK = {"asr": ("wer", "cer"), "pr": ("per",), "lid": ("lid",), "asr_lid": ("wer", "cer", "lid")}


def collect_rows(
    exp: str, sets: list[str], *, command: str = "", note: str = "", commit: str = "none"
) -> list[Row]:
    """Read an experiment's config, summary and scores.

    Args:
        exp: experiment directory, trained (stage 3), decoded and scored (stages 4 and 5).
        sets: test sets; each has ``exp/decode_<set>``.
        command: what the user typed.
        note: free text, e.g. ``partial``.
        commit: of the code, as ``commit_of`` says it.

    Returns:
        One row a set.

    Raises:
        UserError: a stage has not run (naming it), or a file is damaged.
    """
    if not sets:
        raise UserError("--sets is empty; give the test sets that were scored, e.g. --sets 'test'")
    folder = Path(exp)
    for name in ("config.yaml", "summary.json"):
        if not (folder / name).is_file():
            raise UserError(
                f"{exp} has no {name}, so it is not a finished training; run stage 3, or check --exp"
            )
    config, summary = load_config([str(folder / "config.yaml")]), read_json(folder / "summary.json")
    upstream = config.upstream.name + (RANDOM_WEIGHTS if config.upstream.random_init else "")
    common = {
        "date": datetime.date.today().isoformat(),
        "commit": commit,
        "command": command,
        "task": config.task,
        "method": config.peft.name,
        "options": _options(config),
        "upstream": upstream,
        "tag": _tag(folder.resolve().name, config),
        "seed": config.seed,
        "trainable": summary.get("trainable"),
        "total": summary.get("total"),
        "adapter_bytes": summary.get("adapter_bytes"),
        "step_s": summary.get("step_s"),
        "environment": environment_line(),
        "exp": exp,
    }
    rows = [{**common, **_scores(folder, name, config.task)} for name in sets]
    return [{**row, "note": _note(note, row)} for row in rows]


def commit_of(folder: str | Path, ignore: list[Path]) -> str:
    """Short commit of the repository that holds ``folder``, with ``+dirty`` when tracked files have changed.

    Args:
        folder: any folder of it.
        ignore: files whose changes do not count, in any folder: those that writing a result changes, of this recipe and
            of the others. Pictures never count.

    Returns:
        ``none`` outside a repository, before its first commit, or without git.
    """
    commit = _git(folder, "rev-parse", "--short", "HEAD")
    if not commit:
        return "none"
    status = _git(folder, "status", "--porcelain", "-z", "--no-renames", "--untracked-files=no") or ""
    changed = [Path(entry[3:]) for entry in status.split("\0") if entry]
    names = {path.name for path in changed if path.suffix not in PICTURES}
    return f"{commit}+dirty" if names - {path.name for path in ignore} else commit


def _git(folder: str | Path, *arguments: str) -> str | None:
    try:
        process = subprocess.run(["git", *arguments], cwd=folder, capture_output=True, text=True, check=False)
    except OSError:
        return None
    return process.stdout.rstrip("\n") if process.returncode == 0 else None


def _options(config: Config) -> str:
    """The method options that differ from the method's or preset's own: ``lora.rank=16 lora.alpha=32``."""
    given = changed_options(config.peft).items()
    return " ".join(
        f"{part}.{key}={value}" for part, options in given for key, value in sorted(options.items())
    )


def _tag(name: str, config: Config) -> str:
    """What tells this experiment from others of its task, upstream and method: its name without these and the seed."""
    # utils/recipe_experiment.sh makes names like this.
    words = [
        re.sub(r"[^A-Za-z0-9.=+-]+", "_", n).strip("_") for n in (config.upstream.name, config.peft.name)
    ]
    prefix = f"{config.task}_{'_'.join(words)}"
    rest = name.removeprefix(prefix) if name == prefix or name.startswith(prefix + "_") else name
    return re.sub(rf"(^|_)seed{config.seed}(?=_|$)", "", rest, count=1).strip("_")


def _scores(folder: Path, name: str, task: str) -> Row:
    row: Row = {"set": name, "missing": 0}
    decoded = folder / f"decode_{name}"
    languages: dict[str, dict] = {}
    for rate in RATES_OF_TASK[task]:
        path = decoded / f"score_{rate}" / "result.json"
        if not path.is_file():
            raise UserError(
                f"{path} does not exist; run stages 4 and 5 for the set '{name}', or check --sets"
            )
        result = read_json(path)
        value, interval = ("accuracy", "accuracy_95") if rate == "lid" else ("rate", "interval_95")
        try:
            row[rate], row[f"{rate}_95"] = result[value], result[interval]
            row["missing"] = max(row["missing"], len(result["missing"]))
            _add_extras(row, rate, result)
            _add_languages(languages, rate, result)
        except (KeyError, TypeError) as err:
            raise UserError(f"{path} is damaged ({err!r}); run stage 5 again") from err
    _add_graphemes(row, decoded)
    return row | ({"by_lang": languages} if languages else {})


def _add_extras(row: Row, rate: str, result: dict[str, Any]) -> None:
    if rate != "lid" and result.get("normaliser", "none") != "none":
        row["normalizer"] = result["normaliser"]
    if result.get("unspaced"):
        row["unspaced"] = result["unspaced"]
    if result.get("left_out"):
        row["left_out"] = len(result["left_out"])


def _add_languages(languages: dict[str, dict], rate: str, result: dict[str, Any]) -> None:
    for code, part in result.get("by_lang", {}).items():
        own = languages.setdefault(code, {"sentences": part["sentences"]})
        own[rate] = 100.0 - part["rate"] if rate == "lid" else part["rate"]
        if rate != "lid":
            own[f"{rate}_mean"] = part["mean_utterance_rate"]


def _add_graphemes(row: Row, decoded: Path) -> None:
    """The grapheme error rate, where it tells something that the character error rate does not."""
    path = decoded / "score_ger" / "result.json"
    if "cer" not in row or not path.is_file():
        return
    result = read_json(path)
    try:
        if result["rate"] != row["cer"]:
            row["ger"], row["ger_95"] = result["rate"], result["interval_95"]
    except (KeyError, TypeError) as err:
        raise UserError(f"{path} is damaged ({err!r}); run stage 5 again") from err


def _note(note: str, row: Row) -> str:
    parts = [
        note,
        f"{row['missing']} hypotheses missing" if row["missing"] else "",
        f"{row['left_out']} utterances left out: words outside the lexicon" if "left_out" in row else "",
        f"no blanks between words: {', '.join(row['unspaced'])}" if "unspaced" in row else "",
    ]
    return "; ".join(part for part in parts if part)
