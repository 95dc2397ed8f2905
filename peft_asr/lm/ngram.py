"""Making an n-gram model of tokens or words from text.

Interpolated Kneser-Ney smoothing, by one of two programs: kaldingram (pure Python: one discount an order; for texts of
some million units) or KenLM's lmplz where it is on PATH (three discounts an order; for any size).
"""

import logging
import os
import shutil
import tempfile
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

from peft_asr.data.tables import split_row
from peft_asr.errors import UserError
from peft_asr.files import atomic_path
from peft_asr.lm import arpa
from peft_asr.lm.backends import BACKENDS, pick
from peft_asr.lm.interpolate import interpolate
from peft_asr.text.normalize import get_normalizer
from peft_asr.text.tokenizer import Tokenizer

logger = logging.getLogger(__name__)

UNITS, FORMATS = ("token", "word"), ("auto", "table", "plain")
ORDERS = range(2, 6)


def make_ngram(
    texts: Sequence[str | os.PathLike],
    out: str | os.PathLike,
    *,
    units: str = "token",
    token_dir: str | os.PathLike | None = None,
    order: int = 4,
    backend: str = "auto",
    text_format: str = "auto",
    normalizer: str = "none",
    lang: str | None = None,
) -> None:
    """Train an n-gram model and write it as ARPA. The same text always gives the same bytes.

    Args:
        texts: files with a sentence a line; ``.gz`` too.
        out: the ARPA file.
        units: ``token`` (of the list in ``token_dir``) or ``word``.
        order: 2 to 5.
        backend: ``kaldingram``, ``lmplz``, or ``auto``: lmplz where it is on PATH.
        text_format: ``table``: an utterance id opens each line; ``plain``: it does not; ``auto``: a table is a file
            named ``text`` with ``utt2spk`` or ``wav.scp`` beside it.
        normalizer, lang: applied to each sentence.

    Raises:
        UserError: an option that does not exist, a missing or empty text, a missing program, or a text so small that
            the smoothing is undefined.
    """
    _check(units, token_dir, order, backend, text_format)
    tokenizer = Tokenizer.load(token_dir) if units == "token" else None
    normal = get_normalizer(normalizer)
    backend = pick(backend)
    Path(out).parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=Path(out).parent, prefix=f".{Path(out).stem}.tmp-") as folder:
        text, raw = Path(folder, "text"), Path(folder, "raw.arpa")
        sentences = _sentences(texts, text_format, lambda line: normal(line, lang))
        counts = _write(text, sentences, tokenizer)
        if not counts:
            raise UserError(
                f"there is no text in {', '.join(map(str, texts))}; a language model needs sentences, one a line"
            )
        logger.info(
            "%s: %d-gram of %d %ss, %d different", backend, order, sum(counts.values()), units, len(counts)
        )
        BACKENDS[backend](text, raw, order)
        if backend == "kaldingram":
            interpolate(raw)
        with atomic_path(out) as temporary:
            shutil.copyfile(raw, temporary)


def _check(units: str, token_dir, order: int, backend: str, text_format: str) -> None:
    for option, value, allowed in (
        ("--units", units, UNITS),
        ("--backend", backend, ("auto", *BACKENDS)),
        ("--text_format", text_format, FORMATS),
    ):
        if value not in allowed:
            raise UserError(f"unknown {option} '{value}'; allowed: {', '.join(allowed)}")
    if order not in ORDERS:
        raise UserError(f"--order {order} is not possible; allowed: {ORDERS[0]} to {ORDERS[-1]}")
    if units == "token" and token_dir is None:
        raise UserError("--units token needs the token list: give --token_dir (stage 2 makes it)")


def _sentences(
    texts: Sequence[str | os.PathLike], text_format: str, normal: Callable[[str], str]
) -> Iterator[str]:
    for path in texts:
        arpa.exists(path, "--text")
        beside = Path(path).parent
        table = text_format == "table" or (
            text_format == "auto"
            and Path(path).name == "text"
            and any((beside / name).is_file() for name in ("utt2spk", "wav.scp"))
        )
        for _, line in arpa.lines(path):
            sentence = normal(split_row(line)[1] if table else line)
            if sentence:
                yield sentence


def _write(path: Path, sentences: Iterator[str], tokenizer: Tokenizer | None) -> Counter[str]:
    """Write the sentences as units between blanks; counts the units."""
    counts: Counter[str] = Counter()
    unknown: Counter[str] = Counter()
    with open(path, "w", encoding="utf-8", newline="\n") as handle:
        for sentence in sentences:
            if tokenizer is None:
                units = sentence.split(" ")
            else:
                unknown.update(tokenizer.unknown(sentence))
                units = [tokenizer.tokens[index] for index in tokenizer.encode(sentence) if index != 1]
            reserved = arpa.SPECIAL.intersection(units)
            if reserved:
                raise UserError(
                    f"the sentence '{sentence[:60]}' holds {min(reserved)}, which language models reserve"
                )
            if units:
                counts.update(units)
                handle.write(" ".join(units) + "\n")
    if unknown:
        shown = ", ".join(f"'{symbol}' ({count})" for symbol, count in unknown.most_common(5))
        logger.warning("%d symbols of the text have no token and are left out: %s", len(unknown), shown)
    return counts
