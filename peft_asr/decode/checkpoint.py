"""Which adapter of an experiment is decoded, and what it is for."""

from pathlib import Path

from peft_asr.config import Config, config_from_dict
from peft_asr.errors import UserError
from peft_asr.files import read_json
from peft_asr.tasks import Task, get_task
from peft_asr.tasks.adapter import META, read_meta
from peft_asr.text.tokenizer import Tokenizer


def find_adapter(exp: str | Path, ckpt: str | None = None) -> Path:
    """The adapter of an experiment directory, or the directory itself if it is an adapter.

    Args:
        exp: experiment or adapter directory.
        ckpt: None for ``adapter/``, which training leaves at its end. Else one of ``checkpoints/``: ``best`` (on the
            validation data), ``average`` (the mean of the best, which ``adapter/`` is unless it was worse than the best
            alone), a step, a name like ``step_400``, or a path.

    Raises:
        UserError: there is no such directory or checkpoint, or training has not finished.
    """
    folder = Path(exp)
    if not folder.is_dir():
        raise UserError(
            f"there is no directory {exp}; give an experiment directory of stage 3 or an adapter with --exp"
        )
    if ckpt:
        return _checkpoint(folder, ckpt)
    if (folder / META).is_file():
        return folder
    if (folder / "adapter").is_dir():
        return folder / "adapter"
    raise UserError(
        f"{exp} has no adapter, so stage 3 (training) has not finished there; "
        "run stage 3 again with the same options and it goes on where it stopped"
    )


def read_task(adapter: Path) -> tuple[Config, Task]:
    """Config and task of an adapter, without its model.

    Raises:
        UserError: as ``read_meta``; the saved config or token list is damaged.
    """
    meta = read_meta(adapter)
    config = config_from_dict(meta["config"])
    return config, get_task(config.task, Tokenizer.from_state(meta["tokenizer"]), config.head.name)


def _checkpoint(exp: Path, ckpt: str) -> Path:
    kept = sorted((exp / "checkpoints").glob("step_*"), key=lambda path: int(path.name.split("_")[1]))
    if ckpt in ("best", "average"):
        summary = read_json(exp / "summary.json")
        if ckpt == "best":
            ckpt = f"step_{summary['best_step']}"
        elif len(summary["averaged_steps"]) > 1:
            return exp / "adapter"
        else:
            raise UserError(
                f"--ckpt average: the adapter of {exp} is step {summary['averaged_steps'][0]} alone, because the mean "
                "of the best was worse or train.average_best is false; leave --ckpt out, or give --ckpt best"
            )
    for path in (exp / "checkpoints" / (f"step_{ckpt}" if ckpt.isdecimal() else ckpt), Path(ckpt)):
        if (path / META).is_file():
            return path
    shown = ", ".join(path.name.removeprefix("step_") for path in kept) or "none"
    raise UserError(
        f"--ckpt {ckpt}: no such checkpoint in {exp}; allowed: best, average, a path, or a step that was kept ({shown})"
    )
