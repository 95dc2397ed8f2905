"""The text of an audio file of any length."""

from collections import Counter

import torch

from peft_asr.data.audio import SAMPLE_RATE_HZ, check_usable, read_audio
from peft_asr.data.sources import BadAudio
from peft_asr.decode.recogniser import Hypothesis, Recogniser
from peft_asr.decode.windows import split_at_quiet
from peft_asr.tasks.task import Reading


def transcribe(recogniser: Recogniser, path: str, max_s: float = 30.0) -> str:
    """Read a file and recognise it, in pieces of at most ``max_s`` seconds cut at quiet places.

    The answer is the text; ``[code] text`` for the task asr_lid; the code alone for lid.

    Args:
        path: what ``read_audio`` reads: any format of libsndfile, any rate, any number of channels.
        max_s: longer recordings are cut as ``split_at_quiet`` says; the texts of the pieces are joined by a space.

    Raises:
        BadAudio: the file cannot be read, is silent, or is too short for a single frame.
        UserError: ``max_s`` is too small.
    """
    samples = read_audio(path)
    check_usable(samples, 0.0, path)
    if recogniser.num_frames(len(samples)) < 1:
        raise BadAudio(
            f"{path}: too short: {len(samples) / SAMPLE_RATE_HZ:.3f} s do not fill one frame of the upstream"
        )
    read = []
    for start, end in split_at_quiet(samples, max_s):
        piece = torch.from_numpy(samples[start:end])[None]
        read += recogniser(piece, torch.tensor([end - start]))
    return str(_joined(read))


def _joined(read: list[Hypothesis]) -> Reading:
    """The pieces of a recording as one; its language is the one heard in most of them, the earlier of equals."""
    heard = Counter(piece.lang for piece in read if piece.lang is not None)
    lang = heard.most_common(1)[0][0] if heard else None
    if heard and all(piece.text == (piece.lang or "") for piece in read):  # the task is lid
        return Reading(lang, lang)
    return Reading(" ".join(piece.text for piece in read if piece.text), lang)
