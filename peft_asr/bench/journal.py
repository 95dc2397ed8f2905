"""Finished measurements as JSON lines, so that an interrupted benchmark goes on where it was."""

import hashlib
import json
import logging
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from peft_asr.errors import UserError

logger = logging.getLogger(__name__)


class Journal:
    """``journal.find(key)`` and ``journal.add(key, measurement)``; keys are plain dicts.

    A key says everything that decides the figure, the code included: what was measured with other code is not used.
    """

    def __init__(self, path: Path):
        self.path = path
        self._known = {_name(record["key"]): record["measurement"] for record in _read(path)}

    def find(self, key: dict[str, Any]) -> dict | None:
        """The measurement of this key, or None."""
        return self._known.get(_name(key))

    def add(self, key: dict[str, Any], measurement: dict) -> None:
        """Append it.

        Raises:
            UserError: the file cannot be written.
        """
        self._known[_name(key)] = measurement
        line = json.dumps({"key": key, "measurement": measurement}, sort_keys=True)
        try:
            self.path.parent.mkdir(parents=True, exist_ok=True)
            with open(self.path, "a+b") as handle:
                # A line that a kill cut short must not swallow this one.
                handle.seek(0, 2)
                if handle.tell():
                    handle.seek(-1, 2)
                    line = line if handle.read(1) == b"\n" else "\n" + line
                handle.write(f"{line}\n".encode())
        except OSError as err:
            raise UserError(f"cannot write {self.path}: {err.strerror or err}; check --cache") from err


def code_version() -> str:
    """A hash of all of this package's source: figures of other code are not mixed with those of this one."""
    root = Path(__file__).resolve().parents[1]
    digest = hashlib.sha256()
    for file in sorted(root.rglob("*.py")):
        digest.update(f"{file.relative_to(root)}\n".encode())
        digest.update(file.read_bytes())
    return digest.hexdigest()[:12]


def _read(path: Path) -> Iterator[dict]:
    try:
        lines = path.read_bytes().splitlines()
    except FileNotFoundError:
        return
    except OSError as err:
        raise UserError(f"cannot read {path}: {err.strerror or err}; check --cache") from err
    for number, line in enumerate(lines, start=1):
        try:
            record = json.loads(line)
            yield {"key": record["key"], "measurement": record["measurement"]}
        except (ValueError, KeyError, TypeError):
            logger.warning("%s:%d is cut short and is left out", path, number)


def _name(key: dict) -> str:
    return json.dumps(key, sort_keys=True)
