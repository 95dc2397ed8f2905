"""Sets as Kaldi directories."""

import io
import os
from pathlib import Path
from urllib.parse import quote

import soundfile

from peft_asr.data.corpus.check import Utterance, path_id
from peft_asr.data.corpus.rows import Embedded
from peft_asr.data.data_dir import write_data_dir
from peft_asr.files import atomic_path


def write_set(folder: Path, utterances: list[Utterance], langs: dict[str, str]) -> None:
    """Write wav.scp, text, utt2spk, spk2utt, and where there is something to say segments and utt2lang.

    Embedded audio goes to ``folder/audio``. A file that would say the same is left alone, so that later stages stay
    complete; tables of an earlier corpus are removed.
    """
    recordings, segments = None, None
    if any(u.row.start_s is not None or u.row.end_s is not None for u in utterances):
        recordings, segments = _recording_ids(utterances), {}
        for u in utterances:
            end = -1 if u.row.end_s is None else f"{u.row.end_s:.3f}"
            segments[u.utt_id] = f"{recordings[u.row.audio]} {u.row.start_s or 0:.3f} {end}"
    write_data_dir(
        folder,
        {
            "text": {u.utt_id: u.text for u in utterances},
            "utt2spk": {u.utt_id: u.speaker for u in utterances},
            "segments": segments,
            "utt2lang": {u.utt_id: langs[u.utt_id] for u in utterances if u.utt_id in langs} or None,
            "wav.scp": {
                (recordings[u.row.audio] if recordings else u.utt_id): _source(folder, u) for u in utterances
            },
        },
    )


def _recording_ids(utterances: list[Utterance]) -> dict[str | Embedded, str]:
    """Audio -> a unique id: the corpus's own, or made from the path."""
    ids: dict[str | Embedded, str] = {}
    taken: set[str] = set()
    for u in utterances:
        if u.row.audio not in ids:
            first = path_id(u.row.recording or u.row.name)
            name, number = first, 1
            while name in taken:
                number += 1
                name = f"{first}-{number}"
            taken.add(name)
            ids[u.row.audio] = name
    return ids


def _source(folder: Path, utterance: Utterance) -> str:
    """The ``wav.scp`` value; embedded audio is written first, as the file that it was."""
    audio = utterance.row.audio
    if not isinstance(audio, Embedded):
        return audio
    data = audio.read()
    suffix = {"MPEG": "mp3"}.get(kind := soundfile.info(io.BytesIO(data)).format, kind.lower())
    file = folder / "audio" / f"{quote(utterance.utt_id, safe='')}.{suffix}"
    if not file.exists() or file.read_bytes() != data:
        with atomic_path(file) as temporary:
            temporary.write_bytes(data)
    return os.path.abspath(file)
