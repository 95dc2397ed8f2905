"""What the works need on disk, made before anything is measured: checkpoint, corpus, dumps, adapters."""

import json
import logging
import subprocess
import sys
from collections.abc import Iterable

from peft_asr.bench.checkpoint import write_checkpoint
from peft_asr.bench.corpus import write_corpus
from peft_asr.bench.journal import code_version
from peft_asr.bench.setting import Setting
from peft_asr.bench.works import Side
from peft_asr.errors import UserError
from peft_asr.files import write_json

logger = logging.getLogger(__name__)


def prepare(setting: Setting, sides: Iterable[Side]) -> None:
    """Write what these sides need and what is not there yet.

    Raises:
        UserError: the disk is full, or a dump could not be made.
    """
    write_checkpoint(setting.checkpoint, setting.geometry, setting.seed)
    write_corpus(setting)
    for side in sides:
        if side.runner == "ours":
            _dump(setting, side.options)
        elif side.runner == "ours_decode":
            from peft_asr.bench.sides.ours import write_adapter

            write_adapter(setting, side.options)


def _dump(setting: Setting, options: dict) -> None:
    """Make the dump that a side starts from, with the command that a recipe calls."""
    from peft_asr.bench.sides.ours import dump_of, our_config
    from peft_asr.config import save_config

    if (dump := dump_of(setting, options)) is None:
        return
    boundary, dtype = dump
    # The dump of a boundary serves several methods, but what `all` holds depends on the method.
    method = f"_{options['peft']}" if boundary == "all" else ""
    name = f"{boundary}_{dtype}{method}".replace(":", "")
    # Other code may want another format: the command is asked again, and knows.
    done = setting.dumps / f".{name}_{code_version()}.done"
    if done.is_file():
        return
    logger.info("dump of %s in %s for %s", boundary, dtype, options["peft"])
    config = setting.dumps / f"{name}.yaml"
    save_config(our_config(setting, options), str(config))
    sets = [str(setting.corpus / part) for part in ("train", "valid")]
    _run(
        "dump-features", "--data", *sets, "--config", str(config), "--dump", boundary,
        "--dump_dir", str(setting.dumps), "--dump_dtype", dtype, "--nj", "1",
    )  # fmt: skip
    write_json(done, {"boundary": boundary, "dtype": dtype, "options": json.dumps(options)})


def _run(*arguments: str) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "peft_asr.bin.main", *arguments],
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        check=False,
    )
    if done.returncode:
        last = (done.stdout.strip().splitlines() or ["it said nothing"])[-1]
        raise UserError(f"peft-asr {' '.join(arguments)} failed: {last}")
