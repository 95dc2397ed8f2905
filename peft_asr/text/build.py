"""Making token lists from a training text."""

import io
import logging
import os
import re
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

import sentencepiece

from peft_asr.data.tables import read_table
from peft_asr.errors import UserError
from peft_asr.files import read_json, sha256
from peft_asr.text.lexicon import read_lexicon, tell_missing_words
from peft_asr.text.normalize import clean
from peft_asr.text.tokenizer import (
    BLANK,
    LANGUAGES_ONLY,
    SPACE,
    TYPES,
    UNKNOWN,
    Tokenizer,
    language_token,
)

logger = logging.getLogger(__name__)

LANGUAGE_TASKS = ("lid", "asr_lid")  # whose token list has languages


def make_tokens(
    text: str | os.PathLike,
    type: str,
    out_dir: str | os.PathLike,
    nbpe: int = 100,
    lexicon: str | os.PathLike | None = None,
    task: str = "asr",
    utt2lang: str | os.PathLike | None = None,
) -> Tokenizer:
    """Make a token list from a ``text`` table and save it; one made from the same inputs is left alone.

    Args:
        text: ``text`` of the training set.
        type: char, bpe, unigram or phone.
        out_dir: gets ``tokens.txt``.
        nbpe: pieces of bpe and unigram, ``<unk>`` included; lowered, with a log line, if the text has fewer.
        lexicon: for phone: lines ``word phone phone ...``; without it, the text itself is phones.
        task: ``asr_lid`` puts the languages of ``utt2lang`` before the units of the text; ``lid`` makes a list of
            languages alone, whatever the type. Other tasks need nothing of the kind.
        utt2lang: lines ``utterance code`` for the utterances of ``text``.

    Raises:
        UserError: no text, unknown type, no word in the lexicon, ``nbpe`` below the number of characters, a task with
            languages without ``utt2lang``.
    """
    if type not in TYPES:
        raise UserError(f"unknown --type '{type}'; allowed: {', '.join(TYPES)}")
    if lexicon and type != "phone":
        raise UserError(f"--lexicon goes with --type phone, not with --type {type}")
    rows = read_table(text)
    origin = {"text": sha256(text), "nbpe": nbpe if type in ("bpe", "unigram") else None}
    origin["lexicon"] = sha256(lexicon) if lexicon and Path(lexicon).is_file() else None
    languages: list[str] = []
    if task in LANGUAGE_TASKS:
        languages = read_languages(task, utt2lang, rows)
        origin |= {"task": task, "languages": languages}
        type = LANGUAGES_ONLY if task == "lid" else type
    saved = Path(out_dir) / "tokenizer.json"
    complete = saved.is_file() and (Path(out_dir) / "tokens.txt").is_file()
    if complete and _made_from(read_json(saved), type, origin):
        logger.info("%s is complete and made from these inputs: nothing to do", out_dir)
        return Tokenizer.load(out_dir)
    tokenizer = build(rows.values(), type, nbpe, read_lexicon(lexicon) if lexicon else None, languages)
    tokenizer.save(out_dir, origin)
    logger.info("%s: %d tokens (%s) from %d lines", out_dir, len(tokenizer), type, len(rows))
    return tokenizer


def build(
    lines: Iterable[str],
    type: str,
    nbpe: int,
    lexicon: dict[str, str] | None = None,
    languages: Sequence[str] = (),
) -> Tokenizer:
    """The tokenizer of these transcripts; the same lines always give the same one.

    Raises:
        UserError: as ``make_tokens``.
    """
    first = [BLANK, UNKNOWN, *map(language_token, languages)]
    if type == LANGUAGES_ONLY:
        return Tokenizer(type, first, languages=languages)
    lines = [line for line in map(clean, lines) if line]
    if not lines:
        raise UserError("a token list needs text, and there is none")
    if type in ("bpe", "unigram"):
        model = _train(lines, type, nbpe)
        pieces = sentencepiece.SentencePieceProcessor(model_proto=model)
        names = [pieces.id_to_piece(index) for index in range(1, pieces.get_piece_size())]
        return Tokenizer(type, [*first, *names], model=model, languages=languages)
    if type == "char":
        symbols = {SPACE if character == " " else character for line in lines for character in line}
    elif lexicon is None:
        symbols = {symbol for line in lines for symbol in line.split()}
    else:
        tell_missing_words(lines, lexicon)
        symbols = {phone for phones in lexicon.values() for phone in phones.split()}
    # By code point, <space> where a blank would sort: first.
    ordered = sorted(symbols - {BLANK, UNKNOWN}, key=lambda symbol: " " if symbol == SPACE else symbol)
    return Tokenizer(type, [*first, *ordered], lexicon=lexicon, languages=languages)


def read_languages(task: str, utt2lang: str | os.PathLike | None, rows: dict[str, str]) -> list[str]:
    """The codes of ``utt2lang``, sorted.

    Raises:
        UserError: it was not given, lacks an utterance of ``rows``, or has something that is no code.
    """
    if not utt2lang or not Path(utt2lang).is_file():
        given = f"and there is no {utt2lang}" if utt2lang else "which was not given"
        raise UserError(
            f"--task {task} needs --utt2lang, lines 'utterance code' for the training set, {given}"
        )
    languages = read_table(utt2lang)
    for utt in rows:
        if utt not in languages:
            raise UserError(f"{utt2lang} has no language for '{utt}'")
        if not re.fullmatch(r"[^\s\[\]<>]+", languages[utt]):
            raise UserError(
                f"{utt2lang}: '{languages[utt]}' of '{utt}' is no language code; allowed: one word without brackets"
            )
    return sorted({languages[utt] for utt in rows})


def _made_from(saved: Any, type: str, origin: dict) -> bool:
    return isinstance(saved, dict) and (saved.get("type"), saved.get("origin")) == (type, origin)


def _train(lines: list[str], type: str, nbpe: int) -> bytes:
    try:
        return _sentencepiece(lines, type, nbpe)
    except RuntimeError as err:
        too_high = re.search(
            r"Vocabulary size too high \(\d+\)\. Please set it to a value <= (\d+)", str(err)
        )
        too_low = re.search(r"Vocabulary size is smaller than required_chars\. \d+ vs (\d+)", str(err))
        if too_low:
            raise UserError(
                f"--nbpe {nbpe} is too small: the characters of the text alone need {too_low[1]}"
            ) from err
        if not too_high:
            raise UserError(f"sentencepiece cannot make {nbpe} {type} units: {str(err).strip()}") from err
    lowered = int(too_high[1])
    logger.warning("--nbpe %d is too large for this text: lowered to %d", nbpe, lowered)
    return _sentencepiece(lines, type, lowered)


def _sentencepiece(lines: list[str], type: str, size: int) -> bytes:
    model = io.BytesIO()
    sentencepiece.SentencePieceTrainer.train(
        sentence_iterator=iter(lines),
        model_writer=model,
        model_type=type,
        vocab_size=size,
        # Every character gets a piece and keeps its form; the default rule would fold letters that differ.
        character_coverage=1.0,
        normalization_rule_name="identity",
        # Ids 1 to ... of the model are 2 to ... here, where 0 is CTC's blank.
        unk_id=0,
        bos_id=-1,
        eos_id=-1,
        pad_id=-1,
        # Longer lines would be skipped without a word.
        max_sentence_length=1 << 20,
        num_threads=1,
        minloglevel=2,
    )
    return model.getvalue()
