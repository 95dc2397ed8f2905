"""Activations of a frozen encoder on disk: the Kaldi archives that training can start from instead of audio.

dump.json       what they are: upstream, boundary, type
utts.jsonl      of each utterance its audio, its place and the checksum of its values
utt2num_frames
feats.<N>.ark   float32 as Kaldi matrices, float16 in numpy's format (kaldiio reads both)
feats.scp       written last: a folder without it is missing or unfinished
"""

import hashlib
import os
import zlib
from dataclasses import dataclass
from pathlib import Path

import kaldiio
import numpy as np

from peft_asr.data.journal import Journal
from peft_asr.data.tables import read_table
from peft_asr.errors import UserError
from peft_asr.files import read_json

IDENTITY, UTTS, SCP, FRAMES = "dump.json", "utts.jsonl", "feats.scp", "utt2num_frames"
ADVICE = "run stage 2 again (--stage 2 --stop_stage 2), or train from audio with --dump none"


@dataclass
class Stored:
    """One utterance of a dump.

    Attributes:
        audio, bytes, mtime_ns: of the flac that it was made from: SHA-256 (its start), size, time of change.
        rows, columns: of the matrix; of S hidden states it has S x T rows.
        ark, offset, end: file, where the value starts in it, where it ends.
        crc: CRC-32 of the values.
    """

    utt: str
    samples: int
    audio: str
    bytes: int
    mtime_ns: int
    rows: int
    columns: int
    ark: str
    offset: int
    end: int
    crc: int


class Activations:
    """The dump of one set: ``dump[utt]`` is (T, D), or (S, T, D) where it holds all hidden states.

    Args:
        folder: as ``peft-asr dump-features`` leaves it.

    Raises:
        UserError: it is missing, unfinished, cut, or names files elsewhere.
    """

    def __init__(self, folder: str | os.PathLike):
        self.folder = Path(folder)
        if not (self.folder / SCP).is_file():
            raise UserError(f"{folder} is missing or unfinished: {ADVICE}")
        self.identity = read_json(self.folder / IDENTITY)
        self.at: str = self.identity["boundary"]
        self.states: int = self.identity["states"]
        self.dtype = np.dtype(self.identity["dtype"])
        self.stored: dict[str, Stored] = Journal(self.folder / UTTS, Stored).entries
        self.places = {utt: self._inside(place) for utt, place in read_table(self.folder / SCP).items()}
        if self.places.keys() != self.stored.keys():
            odd = min(self.places.keys() ^ self.stored.keys())
            raise UserError(f"{folder}: {SCP} and {UTTS} differ, e.g. in '{odd}': {ADVICE}")
        self._check_sizes()
        self._open: dict = {}

    def _inside(self, place: str) -> str:
        """A line of feats.scp, found again where the folder was moved or copied; nothing outside of it is read."""
        path, _, offset = place.rpartition(":")
        here = self.folder.absolute() / Path(path).name
        if not here.exists() and os.path.exists(path):
            raise UserError(
                f"{self.folder}/{SCP} points outside its folder, to {path}, which is not read: {ADVICE}"
            )
        return f"{here}:{offset}"

    def _check_sizes(self) -> None:
        ends: dict[str, int] = {}
        for stored in self.stored.values():
            ends[stored.ark] = max(stored.end, ends.get(stored.ark, 0))
        for name, end in ends.items():
            path = self.folder / name
            size = path.stat().st_size if path.is_file() else 0
            if size < end:
                raise UserError(f"{path} is cut: it has {size} of {end} bytes: {ADVICE}")

    def __getitem__(self, utt: str) -> np.ndarray:
        """Read one utterance.

        Raises:
            UserError: it is not what was written.
        """
        stored = self.stored[utt]
        try:
            values = kaldiio.load_mat(self.places[utt], fd_dict=self._open)
        except (OSError, ValueError, AssertionError, EOFError) as err:
            raise UserError(f"cannot read '{utt}' from {self.places[utt]}: {err}: {ADVICE}") from err
        if values.dtype != self.dtype or values.shape != (stored.rows, stored.columns):
            raise UserError(
                f"{self.places[utt]} of '{utt}' holds {values.shape} values of {values.dtype}, not "
                f"({stored.rows}, {stored.columns}) of {self.dtype}: {ADVICE}"
            )
        if zlib.crc32(np.ascontiguousarray(values)) != stored.crc:
            raise UserError(f"{self.places[utt]} of '{utt}' is damaged (its checksum differs): {ADVICE}")
        return values if self.states == 0 else values.reshape(self.states, -1, stored.columns)

    def __getstate__(self) -> dict:
        # A data worker opens files of its own: positions of a shared one would mix.
        return {**self.__dict__, "_open": {}}

    def check_audio(self, paths: dict[str, str]) -> None:
        """Hold the dump against the audio of a set, utterance -> flac; a changed time alone is no change.

        Raises:
            UserError: an utterance is not in the dump, or its audio has changed since.
        """
        for utt, path in paths.items():
            if utt not in self.stored:
                raise UserError(f"{self.folder} has no '{utt}': {ADVICE}")
            if not is_current(self.stored[utt], path):
                raise UserError(f"{path} of '{utt}' has changed since {self.folder} was made: {ADVICE}")


def is_current(stored: Stored, path: str) -> bool:
    """Whether the flac is still the one that the values were made from.

    Raises:
        UserError: it is gone.
    """
    try:
        file = os.stat(path)
        same = file.st_size == stored.bytes
        return same and (file.st_mtime_ns == stored.mtime_ns or audio_hash(path) == stored.audio)
    except OSError as err:
        raise UserError(f"cannot read {path} of '{stored.utt}': {err.strerror}; run stage 2 again") from err


def audio_hash(path: str) -> str:
    """What tells one audio file from another."""
    with open(path, "rb") as handle:
        return hashlib.file_digest(handle, "sha256").hexdigest()[:16]
