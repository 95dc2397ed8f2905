"""Stage 2's audio: a data directory becomes 16 kHz flac files and a data directory that names them."""

import contextlib
import fcntl
import hashlib
import logging
import os
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import IO

from tqdm import tqdm

from peft_asr.data.audio import SAMPLE_RATE_HZ
from peft_asr.data.dump_job import Job, Piece, flac_path, run_job
from peft_asr.data.dump_tables import report_bad, write_tables
from peft_asr.data.dump_text import normalise
from peft_asr.data.journal import Entry, Journal
from peft_asr.data.kaldi import DataDir
from peft_asr.data.pool import run_all
from peft_asr.data.sources import describe_source
from peft_asr.errors import UserError

logger = logging.getLogger(__name__)

# The children of a dump that was killed may hold its lock for a moment longer.
_LOCK_WAIT_S = 2.0


@dataclass
class Dumped:
    """What a dump did: utterances in its tables, left out as bad, and written by this very call."""

    kept: int
    bad: int
    written: int


def dump_audio(
    data_dir: str | os.PathLike,
    out_dir: str | os.PathLike,
    nj: int = 1,
    skip_bad: bool = False,
    allow_pipes: bool = False,
    min_s: float = 0.05,
    normalizer: str = "none",
    lang: str | None = None,
) -> Dumped:
    """Write ``out_dir``: flac/, wav.scp, text, utt2spk, spk2utt, utt2num_samples, normalizer [, utt2lang].

    The tables are written at the end, ``wav.scp`` last: a directory with a ``wav.scp`` is complete. A dump
    that was killed goes on where it stopped; an utterance is made again when its line, its segment or its
    source file (size, time) has changed; a complete dump is left alone. Paths in ``wav.scp`` are absolute.

    Args:
        data_dir: the directory from stage 1. With ``utt2dur``, audio shorter than it says is bad.
        out_dir: where to write.
        nj: processes.
        skip_bad: leave bad utterances out, instead of failing when all others are done.
        allow_pipes: run the commands in ``wav.scp``.
        min_s: shorter utterances are bad.
        normalizer: of the transcripts, by name; an utterance of which it leaves no text is bad.
        lang: the language of every utterance where there is no ``utt2lang``, which is then written.

    Raises:
        UserError: the directory is not valid; utterances are bad (``bad_utts.txt`` lists all of them); the
            normaliser is unknown or cannot do without a language; the disk is full; another process is writing there.
    """
    if nj < 1:
        raise UserError(f"--nj is a number of processes, at least 1; got {nj}")
    data = DataDir.load(data_dir, allow_pipes)
    # Not resolve(): a link to a larger disk stays the name that the user chose.
    out = Path(os.path.abspath(out_dir))
    if out == Path(os.path.abspath(data_dir)):
        raise UserError(f"--out {out_dir} is the directory that is read; give another one")
    transcripts = normalise(data, normalizer, lang)
    with locked(out):
        journal = Journal(out / "dump.jsonl")
        keys = _keys(data)
        todo = [utt for utt in data.utt_ids if not _is_done(journal.entries.get(utt), keys[utt], out, min_s)]
        written = 0
        if todo:
            logger.info("%s: %d of %d utterances to write, %d processes", out_dir, len(todo), len(keys), nj)
            _remove_leftovers(out)
            if any(not _known_bad(journal.entries.get(utt), keys[utt]) for utt in todo):
                (out / "wav.scp").unlink(missing_ok=True)
            jobs = _jobs(data, todo, keys, out, allow_pipes, min_s)
            written = _work(jobs, len(todo), nj, journal)
        journal.compact(data.utt_ids)
        bad = transcripts.empty | {utt: entry.bad for utt, entry in journal.entries.items() if entry.bad}
        report_bad(bad, data, out, skip_bad)
        changed = write_tables(data, journal.entries, transcripts, out)
    kept = len(keys) - len(bad)
    if not written and not changed:
        logger.info("%s is complete and newer than its inputs: nothing to do", out_dir)
    else:
        logger.info("%s: %d utterances, %d written now, %d bad", out_dir, kept, written, len(bad))
    return Dumped(kept=kept, bad=len(bad), written=written)


@contextlib.contextmanager
def locked(out: Path) -> Iterator[None]:
    """Make the folder of a dump, and hold it for this process.

    Raises:
        UserError: another process is writing there, or it cannot be made.
    """
    try:
        out.mkdir(parents=True, exist_ok=True)
        handle = open(out / ".lock", "w")
    except OSError as err:
        raise UserError(f"cannot write to {out}: {err.strerror or err}") from err
    with handle:
        started = time.monotonic()
        while not _try_lock(handle, out):
            if time.monotonic() - started > _LOCK_WAIT_S:
                raise UserError(f"another process is writing {out}; wait for it to end, or end it")
            time.sleep(0.05)
        yield


def _try_lock(handle: IO, out: Path) -> bool:
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    except OSError as err:
        logger.warning("%s: no file locks here (%s); run one dump at a time", out, err.strerror)
    return True


def _keys(data: DataDir) -> dict[str, str]:
    sources = {recording: describe_source(source) for recording, source in data.recordings.items()}
    keys = {}
    for utt in data.utt_ids:
        segment = data.segment(utt)
        expected = data.utt2dur[utt] if data.utt2dur else None
        text = f"{sources[segment.recording]} {segment.start_s} {segment.end_s} {expected}"
        keys[utt] = hashlib.sha256(text.encode()).hexdigest()[:16]
    return keys


def _is_done(entry: Entry | None, key: str, out: Path, min_s: float) -> bool:
    if entry is None or entry.bad or entry.key != key or entry.samples < min_s * SAMPLE_RATE_HZ:
        return False
    try:
        return flac_path(out, entry.utt).stat().st_size == entry.bytes
    except OSError:
        return False


def _known_bad(entry: Entry | None, key: str) -> bool:
    """Bad ones are tried again each time (a server may have been away) but leave a dump complete."""
    return entry is not None and bool(entry.bad) and entry.key == key


def _remove_leftovers(out: Path) -> None:
    for path in out.glob("flac/*/.*.tmp-*.flac"):
        path.unlink()


def _jobs(
    data: DataDir, todo: list[str], keys: dict[str, str], out: Path, allow_pipes: bool, min_s: float
) -> list[Job]:
    jobs: dict[str, Job] = {}
    for utt in todo:
        segment = data.segment(utt)
        source = data.recordings[segment.recording]
        expected = data.utt2dur[utt] if data.utt2dur else None
        job = jobs.setdefault(segment.recording, Job(source, [], allow_pipes, min_s))
        piece = Piece(utt, keys[utt], segment.start_s, segment.end_s, expected, flac_path(out, utt))
        job.pieces.append(piece)
    return list(jobs.values())


def _work(jobs: list[Job], total: int, nj: int, journal: Journal) -> int:
    """Run the jobs; returns how many utterances were written."""
    written, said = 0, time.monotonic()
    on_terminal = sys.stderr.isatty()
    try:
        results = run_all(run_job, jobs, min(nj, len(jobs)))
        # closing: workers are told to stop now, not when the error that ended the loop is forgotten.
        with tqdm(total=total, unit="utt", disable=not on_terminal) as bar, contextlib.closing(results):
            for entries in results:
                for entry in entries:
                    journal.add(entry)
                    written += not entry.bad
                bar.update(len(entries))
                if not on_terminal and time.monotonic() - said > 30:
                    logger.info("%d of %d utterances done", written, total)
                    said = time.monotonic()
    finally:
        journal.close()
    return written
