"""Pronunciation lexicons: words and their phones."""

import logging
import os
from pathlib import Path

from peft_asr.errors import UserError
from peft_asr.text.normalize import clean
from peft_asr.text.tokenizer import SPOKEN_NOISE

logger = logging.getLogger(__name__)


def read_lexicon(path: str | os.PathLike) -> dict[str, str]:
    """Word -> its first pronunciation, from lines ``word phone phone ...`` (``;;;`` starts a comment).

    Raises:
        UserError: the file is missing, not UTF-8, or has a word without phones.
    """
    try:
        content = Path(path).read_text(encoding="utf-8")
    except OSError as err:
        raise UserError(f"cannot read --lexicon {path}: {err.strerror or err}") from err
    except UnicodeDecodeError as err:
        raise UserError(f"--lexicon {path} is not UTF-8: {err}") from err
    lexicon: dict[str, str] = {}
    for number, line in enumerate(content.split("\n"), start=1):
        word, *phones = line.split() or [""]
        if not word or word.startswith(";;;"):
            continue
        if not phones:
            raise UserError(f"{path}:{number}: the word '{word}' has no phones")
        lexicon.setdefault(clean(word), " ".join(phones))
    if not lexicon:
        raise UserError(f"--lexicon {path} has no word")
    return lexicon


def tell_missing_words(lines: list[str], lexicon: dict[str, str]) -> None:
    """Warn of words of the text that a pronunciation lexicon lacks, and say what becomes of them.

    Raises:
        UserError: every line has such a word, and the lexicon has no ``SPN``.
    """
    missing = [{word for word in line.split() if word not in lexicon} for line in lines]
    words = sorted(set().union(*missing))
    if not words:
        return
    spoken_noise = any(SPOKEN_NOISE in phones.split() for phones in lexicon.values())
    if all(missing) and not spoken_noise:
        raise UserError(
            f"every line of the text has a word that is not in the --lexicon, e.g. {', '.join(words[:5])}: this is "
            "the lexicon of another language, or of another case of letters"
        )
    logger.warning(
        "%d words in %d of %d lines of the text are not in the --lexicon, e.g. %s: the task pr %s",
        len(words),
        sum(map(bool, missing)),
        len(lines),
        ", ".join(words[:5]),
        f"reads each as the phone {SPOKEN_NOISE}" if spoken_noise else "leaves these lines out",
    )
