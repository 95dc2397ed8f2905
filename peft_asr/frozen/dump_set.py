"""The dump of one set: resumable, whole archives only, tables last."""

import contextlib
import logging
import sys
from dataclasses import replace
from pathlib import Path

from tqdm import tqdm

from peft_asr.config import Config
from peft_asr.data.activations import FRAMES, IDENTITY, SCP, UTTS, Stored, is_current
from peft_asr.data.dataset import SpeechDataset, Utterance
from peft_asr.data.dump import locked
from peft_asr.data.journal import Journal
from peft_asr.data.pool import run_all
from peft_asr.data.tables import table_text
from peft_asr.errors import UserError
from peft_asr.files import read_json, write_if_changed, write_json, write_text
from peft_asr.frozen.job import Job, run_job
from peft_asr.frozen.place import Model, differences, folder_of, identity
from peft_asr.frozen.size import Size, gigabytes

logger = logging.getLogger(__name__)

_ARCHIVE_BYTES = 64e6  # of one archive, which a kill may cost


def bytes_there(folder: Path) -> int:
    """Of the archives in a dump's folder."""
    return sum(path.stat().st_size for path in folder.glob("feats.*.ark"))


def dump_set(
    config: Config, model: Model, boundary: str, data_dir: str, dataset: SpeechDataset, nj: int, device: str
) -> None:
    """Write what is not there yet, tables last; arguments and errors as ``dump_features`` has them."""
    out, wanted = folder_of(config, model, boundary, data_dir).absolute(), identity(config, model, boundary)
    with locked(out):
        _same_or_empty(out, wanted)
        journal = Journal(out / UTTS, Stored)
        todo = [u for u in dataset.utterances if not _is_done(out, journal.entries.get(u.utt_id), u)]
        if todo:
            logger.info("%s: %d of %d utterances to write", out, len(todo), len(dataset))
            (out / SCP).unlink(missing_ok=True)
            for leftover in out.glob(".feats.*.tmp-*"):
                leftover.unlink()
            write_json(out / IDENTITY, wanted)
            _work(_jobs(config, model, wanted, out, todo, nj, device), len(todo), nj, journal)
        elif (out / SCP).is_file() and journal.entries.keys() == {u.utt_id for u in dataset.utterances}:
            logger.info("%s is complete: nothing to do", out)
            return
        _finish(out, dataset, journal, wanted["states"])
        logger.info("%s: %d utterances, %s", out, len(dataset), gigabytes(bytes_there(out)))


def _same_or_empty(out: Path, wanted: dict) -> None:
    """The folder's name says what it is for; a file in it that says otherwise was put there by hand."""
    if (out / IDENTITY).is_file() and (odd := differences(wanted, read_json(out / IDENTITY))):
        raise UserError(
            f"{out} holds the activations of something else ({odd}); remove it, or give another --dump_dir"
        )


def _is_done(out: Path, stored: Stored | None, utterance: Utterance) -> bool:
    if stored is None or stored.samples != utterance.samples or not is_current(stored, utterance.path):
        return False
    path = out / stored.ark
    return path.is_file() and path.stat().st_size >= stored.end


def _jobs(
    config: Config, model: Model, wanted: dict, out: Path, todo: list[Utterance], nj: int, device: str
) -> list[Job]:
    """Archives of bearable size, at least one for each process."""
    boundary, dtype = wanted["boundary"], wanted["dtype"]
    frozen = replace(config, head=type(config.head)(), data=type(config.data)(), train=type(config.train)())
    taken = [
        int(path.name.split(".")[1]) for path in out.glob("feats.*.ark") if path.name.split(".")[1].isdigit()
    ]
    number = max(taken, default=0)
    total = sum(u.samples for u in todo)
    size = Size(model, boundary, wanted["states"], dtype, SpeechDataset(todo)).bytes
    most = max(1, min(total / nj, total * _ARCHIVE_BYTES / max(size, 1)))
    jobs: list[Job] = []
    filled = most
    for utterance in todo:
        if filled >= most:
            number, filled = number + 1, 0
            ark = out / f"feats.{number}.ark"
            jobs.append(Job(frozen, boundary, dtype, ark, [], device, threads=1 if nj > 1 else 0))
        jobs[-1].utterances.append(utterance)
        filled += utterance.samples
    return jobs


def _work(jobs: list[Job], total: int, nj: int, journal: Journal) -> None:
    try:
        results = run_all(run_job, jobs, min(nj, len(jobs)))
        with (
            tqdm(total=total, unit="utt", disable=not sys.stderr.isatty()) as bar,
            contextlib.closing(results),
        ):
            for entries in results:
                for entry in entries:
                    journal.add(entry)
                bar.update(len(entries))
    finally:
        journal.close()


def _finish(out: Path, dataset: SpeechDataset, journal: Journal, states: int) -> None:
    """The tables; archives that no utterance is read from any more go."""
    journal.compact([u.utt_id for u in dataset.utterances])
    entries = dict(sorted(journal.entries.items()))
    frames = {utt: str(e.rows // max(states, 1)) for utt, e in entries.items()}
    write_if_changed(out / FRAMES, table_text(frames))
    write_text(out / SCP, table_text({utt: f"{out / e.ark}:{e.offset}" for utt, e in entries.items()}))
    used = {entry.ark for entry in entries.values()}
    for path in out.glob("feats.*.ark"):
        if path.name not in used:
            path.unlink()
