"""What a dump has finished, one JSON line per utterance, written as it happens: a kill loses nothing."""

import errno
import json
import os
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from peft_asr.errors import UserError
from peft_asr.files import write_text


@dataclass
class Entry:
    """One utterance.

    Attributes:
        utt: its id.
        key: changes when its source, segment or the source's size or time changes.
        samples: at 16 kHz, as decoded; 0 for a bad one.
        bytes: size of its flac; 0 for a bad one.
        bad: what is wrong, or an empty string.
    """

    utt: str
    key: str
    samples: int = 0
    bytes: int = 0
    bad: str = ""


class Journal:
    """The file and its entries; for an utterance that was written twice, the later line counts.

    Args:
        path: of the file, which need not be there.
        kind: dataclass of an entry, with a field ``utt``.
    """

    def __init__(self, path: Path, kind: type = Entry):
        self.path = path
        self.kind = kind
        self.entries: dict[str, Any] = {}
        if path.exists():
            for line in path.read_text(encoding="utf-8").split("\n"):
                self._take(line)
        self._handle = None

    def _take(self, line: str) -> None:
        try:
            entry = self.kind(**json.loads(line))
        except (ValueError, TypeError):
            return  # a line that a kill cut short; its utterance is made again
        self.entries[entry.utt] = entry

    def add(self, entry: Any) -> None:
        """Append what is new, and hand the line to the operating system at once.

        Raises:
            UserError: the disk is full.
        """
        if self.entries.get(entry.utt) == entry:
            return
        self.entries[entry.utt] = entry
        line = _line(entry).encode("utf-8")
        try:
            if self._handle is None:
                # Unbuffered: a line is in the file or it is not, and closing has nothing left to write.
                self._handle = open(self.path, "ab", buffering=0)
                line = b"\n" + line  # ends a line that a kill cut short
            if self._handle.write(line) < len(line):
                raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        except OSError as err:
            raise UserError(f"cannot write {self.path}: {err.strerror or err}") from err

    def close(self) -> None:
        """Close the file; ``add`` opens it again."""
        if self._handle is not None:
            handle, self._handle = self._handle, None
            handle.close()

    def compact(self, utt_ids: list[str]) -> None:
        """Rewrite the file with one line for each of these utterances, if that changes it."""
        self.close()
        self.entries = {utt: self.entries[utt] for utt in utt_ids if utt in self.entries}
        text = "".join(_line(entry) for entry in self.entries.values())
        if not self.path.exists() or self.path.read_bytes() != text.encode("utf-8"):
            write_text(self.path, text)


def _line(entry: Any) -> str:
    return json.dumps(asdict(entry), ensure_ascii=False) + "\n"
