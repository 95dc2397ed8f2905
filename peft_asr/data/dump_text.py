"""The transcripts of a dump: normalised, with what that took away."""

import logging
import os
from dataclasses import dataclass, field
from pathlib import Path

from peft_asr.data.kaldi import DataDir
from peft_asr.errors import UserError
from peft_asr.files import write_if_changed
from peft_asr.text.normalize import get_normalizer
from peft_asr.text.normalize.changes import Changes
from peft_asr.text.normalize.languages import language

logger = logging.getLogger(__name__)


@dataclass
class Transcripts:
    """What a dump writes as ``text`` and beside it.

    Attributes:
        normalizer: its name.
        text: utterance -> normalised transcript; None without transcripts.
        utt2lang: utterance -> language; None where no language is known.
        empty: utterance -> why it has no text left.
        changes: characters lost and new.
    """

    normalizer: str
    text: dict[str, str] | None
    utt2lang: dict[str, str] | None
    empty: dict[str, str] = field(default_factory=dict)
    changes: Changes = field(default_factory=Changes)


def normalise(data: DataDir, normalizer: str = "none", lang: str | None = None) -> Transcripts:
    """Normalise the transcripts of a directory.

    Args:
        data: the directory.
        normalizer: a name in ``text.normalize.NORMALIZERS``.
        lang: the language of every utterance where there is no ``utt2lang``.

    Raises:
        UserError: unknown normaliser; ``lang`` is no code; an utterance whose language is needed and not known, or is
            one that the normaliser is not for.
    """
    function = get_normalizer(normalizer)
    try:
        language(lang)
    except UserError as err:
        raise UserError(f"--lang: {err}") from err
    utt2lang = data.utt2lang
    if utt2lang is None and lang is not None:
        utt2lang = dict.fromkeys(data.utt_ids, lang)
    found = Transcripts(normalizer, None, utt2lang)
    if data.text is None:
        return found
    found.text = {}
    for utt, raw in data.text.items():
        own = utt2lang[utt] if utt2lang else None
        try:
            found.text[utt] = function(raw, own)
        except UserError as err:
            raise UserError(f"{data.path}/text, utterance '{utt}': {err}") from err
        if not found.text[utt]:
            found.empty[utt] = f"--normalizer {normalizer} leaves nothing of the transcript '{raw}'"
        if normalizer != "none":
            found.changes.add(raw, found.text[utt], own)
    return found


def write_notes(found: Transcripts, out: str | os.PathLike) -> None:
    """Write ``normalizer`` (its name) and, where characters were lost, ``characters_lost``; say what they were."""
    folder = Path(out)
    write_if_changed(folder / "normalizer", f"{found.normalizer}\n")
    lost, listing = found.changes.table(), folder / "characters_lost"
    if not lost:
        listing.unlink(missing_ok=True)
        return
    if write_if_changed(listing, lost):
        logger.info(
            "%s: --normalizer %s: %s (all in %s)",
            out, found.normalizer, found.changes.summary(), listing,
        )  # fmt: skip
