"""The programs that estimate n-grams: text with units between blanks -> ARPA."""

import logging
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

from peft_asr.errors import UserError
from peft_asr.lm.extra import need

logger = logging.getLogger(__name__)


def pick(backend: str) -> str:
    """``auto`` as a program that is there.

    Raises:
        UserError: the one asked for is not there.
    """
    has_lmplz = shutil.which("lmplz") is not None
    if backend == "lmplz" and not has_lmplz:
        raise UserError(
            "--backend lmplz: there is no lmplz on PATH; build KenLM (https://github.com/kpu/kenlm) and add its "
            "bin folder, or give --backend kaldingram"
        )
    if backend == "lmplz" or (backend == "auto" and has_lmplz):
        return "lmplz"
    need("kaldingram", "making an n-gram", "or put KenLM's lmplz on PATH")
    return "kaldingram"


def kaldingram(text: Path, arpa: Path, order: int) -> None:
    """Kneser-Ney without pruning."""
    command = [sys.executable, "-m", "kaldingram.cli", "train", "--ngram-order", str(order)]
    done = _run([*command, "--text", str(text), "--lm", str(arpa)])
    if done.returncode:
        raise UserError(_failed("kaldingram", order, done.stderr))


def lmplz(text: Path, arpa: Path, order: int) -> None:
    """Modified Kneser-Ney; where the text is too regular for its discounts, with lmplz's fallback discounts.

    The counts of counts that the discounts come from do not exist when every token is frequent, as characters are.
    """
    command = ["lmplz", "-o", str(order), "-S", "20%", "-T", str(text.parent)]
    command += ["--text", str(text), "--arpa", str(arpa)]
    done = _run(command)
    if done.returncode and "discount_fallback" in done.stderr:
        logger.warning(
            "lmplz: this text is too small or too regular for estimated discounts; fixed ones are used"
        )
        done = _run([*command, "--discount_fallback"])
    if done.returncode:
        raise UserError(_failed("lmplz", order, done.stderr))


BACKENDS: dict[str, Callable[[Path, Path, int], None]] = {"kaldingram": kaldingram, "lmplz": lmplz}


def _run(command: list[str]) -> subprocess.CompletedProcess:
    return subprocess.run(command, capture_output=True, text=True, errors="replace", check=False)


def _failed(program: str, order: int, stderr: str) -> str:
    last = [line for line in stderr.strip().splitlines() if line.strip()][-1:] or ["no message"]
    return (
        f"{program} cannot make a {order}-gram of this text ({last[0].strip()[:200]}); a small text allows a lower "
        "--order (run.sh: --lm_order), more text comes in with a second --text (run.sh: --lm_text)"
    )
