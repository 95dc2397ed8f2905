"""From rows to utterances: ids, texts and audio are checked, and everything that is wrong is collected."""

import io
import os
import re
from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

import soundfile

from peft_asr.data.corpus.rows import Embedded, Row
from peft_asr.data.sources import BadAudio, open_source
from peft_asr.data.validate import is_pipe
from peft_asr.data.whole import what_is_missing
from peft_asr.errors import UserError
from peft_asr.text.normalize import clean

_OVERSHOOT_S = 0.5  # what a segment may end after its recording, as in stage 2
_UNKNOWN_FRAMES = 1 << 62  # what libsndfile says of a flac that was written into a pipe


@dataclass
class Utterance:
    """A checked row: unique id, speaker, clean text; ``seconds`` is None where only decoding would tell."""

    utt_id: str
    speaker: str
    text: str
    row: Row
    seconds: float | None = None


def check_texts(rows: Iterable[Row]) -> tuple[list[Utterance], list[str]]:
    """Give every row an id and a speaker; returns what is good and what is wrong."""
    rows = list(rows)
    problems: list[str] = []
    utterances: dict[str, Utterance] = {}
    some = {key: any(getattr(row, key) for row in rows) for key in ("lang", "split")}
    for row in rows:
        utt_id, text = row.utt_id or _made_id(row), clean(row.text)
        wrong = [f"no {key}, which other rows have" for key in some if some[key] and not getattr(row, key)]
        if not text:
            wrong.append("empty text")
        if "\0" in text:
            wrong.append("a NUL character in the text")
        if re.search(r"\s", utt_id) or re.search(r"\s", row.lang or ""):
            wrong.append(f"a blank in the id '{utt_id}' or the language '{row.lang or ''}'")
        if utt_id in utterances:
            made = "" if row.utt_id else " (made from path and times; a column utt_id would win)"
            wrong.append(f"duplicate id '{utt_id}'{made}, first in {utterances[utt_id].row.where}")
        problems += [f"{row.where}: {what}" for what in wrong]
        if not wrong:
            utterances[utt_id] = Utterance(utt_id, speaker_of(row) or utt_id, text, row)
    return list(utterances.values()), problems


def check_audio(utterances: list[Utterance], allow_pipes: bool) -> dict[str, str]:
    """Open every audio file and set ``seconds``; returns utterance id -> what is wrong with its audio.

    Only headers are read (mp3: frame by frame), in threads; stage 2 decodes.
    """
    by_audio: dict[str | Embedded, list[Utterance]] = {}
    for utterance in utterances:
        by_audio.setdefault(utterance.row.audio, []).append(utterance)
    problems = {}
    with ThreadPoolExecutor(min(8, os.cpu_count() or 1)) as pool:
        lengths = pool.map(lambda audio: _length(audio, allow_pipes), by_audio)
        for group, length in zip(by_audio.values(), lengths, strict=True):
            for utterance in group:
                problem = length if isinstance(length, str) else _set_seconds(utterance, length)
                if problem:
                    problems[utterance.utt_id] = f"{utterance.row.where}: {problem}"
    return problems


def speaker_of(row: Row) -> str | None:
    """The speaker with underscores for blanks, which ids cannot have."""
    return re.sub(r"\s+", "_", row.speaker) if row.speaker else None


def path_id(name: str) -> str:
    """A path as an id: ``a b/c.wav`` -> ``a-b-c``."""
    return re.sub(r"[^\w.+=-]+|/", "-", os.path.splitext(name)[0])


def _made_id(row: Row) -> str:
    """Path, times, and in front the speaker, as Kaldi's tools want it."""
    utt_id, speaker = path_id(row.name), speaker_of(row)
    if row.start_s is not None or row.end_s is not None:
        end = "end" if row.end_s is None else f"{round(1000 * row.end_s):08d}"
        utt_id += f"-{round(1000 * (row.start_s or 0)):08d}-{end}"
    return utt_id if speaker is None or utt_id.startswith(speaker) else f"{speaker}-{utt_id}"


def _length(audio: str | Embedded, allow_pipes: bool) -> float | str | None:
    """Seconds, None where the header does not say, or what is wrong."""
    if not isinstance(audio, Embedded) and is_pipe(audio):
        return None if allow_pipes else f"'{audio}' is a command; commands run only with --allow_pipes true"
    try:
        handle = io.BytesIO(audio.read()) if isinstance(audio, Embedded) else open_source(audio)
        with handle:
            missing = what_is_missing(handle)
            if missing:
                return f"{_name(audio)}the file is cut short: {missing}"
            with soundfile.SoundFile(handle) as sound:
                frames, rate_hz = sound.frames, sound.samplerate
    except soundfile.LibsndfileError:
        return f"{_name(audio)}not audio that libsndfile reads (wav, flac, ogg, opus, mp3, ...), or damaged"
    except (BadAudio, UserError) as err:
        return str(err)
    if frames == 0:
        return f"{_name(audio)}the file holds no audio (0 frames)"
    return None if frames >= _UNKNOWN_FRAMES else frames / rate_hz


def _name(audio: str | Embedded) -> str:
    return "" if isinstance(audio, Embedded) else f"{audio}: "


def _set_seconds(utterance: Utterance, length_s: float | None) -> str | None:
    """Note how long an utterance is; returns what is wrong with its times."""
    start_s, end_s = utterance.row.start_s or 0.0, utterance.row.end_s
    if length_s is not None:
        if start_s >= length_s:
            return f"the segment starts at {start_s:g} s, the recording has {length_s:g} s"
        if end_s is not None and end_s > length_s + _OVERSHOOT_S:
            return f"the segment ends at {end_s:g} s, the recording has {length_s:g} s"
        end_s = length_s if end_s is None else min(end_s, length_s)
    utterance.seconds = None if end_s is None else end_s - start_s
    return None
