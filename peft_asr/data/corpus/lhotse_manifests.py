"""Lhotse manifests: recordings with supervisions, or cuts."""

import re
from pathlib import Path
from typing import Any

from peft_asr.data.corpus.rows import Embedded, Listing, Row, absolute
from peft_asr.data.tables import counted
from peft_asr.errors import UserError

# libri_supervisions_train.jsonl.gz: corpus, kind, split.
NAME = re.compile(r"(?:(.*)_)?(recordings|supervisions|cuts)(?:_(.*))?\.jsonl(?:\.gz)?")
_WHOLE_S = 1e-3  # a supervision that ends so close to the recording's end is all of it


def manifests_in(folder: Path) -> list[Path]:
    """What there is to read in a folder: the supervisions that have recordings beside them, else the cuts."""
    named = sorted(path for path in folder.iterdir() if NAME.fullmatch(path.name))
    pairs = [p for p in named if _kind(p) == "supervisions" and _partner(p, "recordings").exists()]
    return pairs or [p for p in named if _kind(p) == "cuts"]


def read_lhotse(paths: list[Path], audio_dir: Path | None = None) -> Listing:
    """Read manifests; of several, each is a split, called by the end of its name.

    Relative paths start from the manifest's folder (or ``audio_dir``).
    """
    listing = Listing()
    for path in paths:
        split = NAME.fullmatch(path.name)[3] if len(paths) > 1 else None
        listing.extend(_read(path, audio_dir or path.parent), split)
    return listing


def _kind(path: Path) -> str:
    return NAME.fullmatch(path.name)[2]


def _partner(path: Path, kind: str) -> Path:
    """The manifest of another kind that belongs to a manifest."""
    match = NAME.fullmatch(path.name)
    return path.with_name(path.name[: match.start(2)] + kind + path.name[match.end(2) :])


def _read(path: Path, base: Path) -> Listing:
    try:
        from lhotse import CutSet, RecordingSet, SupervisionSet
    except ImportError:
        raise UserError(f"{path} needs the package lhotse: pip install 'peft_asr[lhotse]'") from None
    listing = Listing()
    if _kind(path) == "cuts":
        for cut in _load(path, CutSet):
            _add_cut(listing, path, cut, base)
        return listing
    recordings_file, supervisions_file = _partner(path, "recordings"), _partner(path, "supervisions")
    for file in (recordings_file, supervisions_file):
        if not file.exists():
            raise UserError(f"{path} comes without {file}: recordings and supervisions belong together")
    recordings = {recording.id: recording for recording in _load(recordings_file, RecordingSet)}
    for supervision in _load(supervisions_file, SupervisionSet):
        where = f"{supervisions_file} supervision '{supervision.id}'"
        recording = recordings.get(supervision.recording_id)
        if recording is None:
            problem = f"recording '{supervision.recording_id}' is not in {recordings_file}"
            listing.problems.append(f"{where}: {problem}")
            continue
        _add(listing, where, recording, supervision, 0.0, base)
    return listing


def _load(path: Path, kind: Any) -> Any:
    from lhotse import load_manifest

    try:
        return load_manifest(path, kind)
    except (OSError, EOFError, ValueError) as err:
        said = (str(err) or type(err).__name__).splitlines()[0]
        raise UserError(f"{path} cannot be read as a {kind.__name__} of lhotse: {said}") from err


def _add_cut(listing: Listing, path: Path, cut: Any, base: Path) -> None:
    where = f"{path} cut '{cut.id}'"
    if not getattr(cut, "has_recording", False) or not hasattr(cut, "recording"):
        listing.problems.append(
            f"{where}: it is no plain cut of one recording (mixed, padded or features only)"
        )
        return
    for supervision in cut.supervisions:
        at = f"{where} supervision '{supervision.id}'"
        _add(listing, at, cut.recording, supervision, cut.start, base)


def _add(listing: Listing, where: str, recording: Any, supervision: Any, offset_s: float, base: Path) -> None:
    """Add an utterance that starts ``offset_s`` + ``supervision.start`` into its recording."""
    problem = _unusable(recording, supervision)
    if problem:
        listing.problems.append(f"{where}: {problem}")
        return
    source = recording.sources[0]
    start_s, end_s = offset_s + supervision.start, offset_s + supervision.end
    whole = start_s < _WHOLE_S and end_s > recording.duration - _WHOLE_S
    listing.rows.append(
        Row(
            where=where,
            name=supervision.id,
            audio=_audio(where, source, base),
            text=supervision.text or "",
            utt_id=supervision.id,
            speaker=supervision.speaker,
            lang=supervision.language,
            recording=recording.id,
            start_s=None if whole else max(0.0, start_s),
            end_s=None if whole else end_s,
        )
    )


def _audio(where: str, source: Any, base: Path) -> str | Embedded:
    if source.type == "memory":
        return Embedded(where, lambda: source.source)
    return f"{source.source} |" if source.type == "command" else absolute(str(source.source), base)


def _unusable(recording: Any, supervision: Any) -> str | None:
    """Why a supervision cannot be an utterance: what would be read is not what lhotse would read."""
    kinds = sorted({source.type for source in recording.sources})
    if len(recording.sources) != 1 or kinds[0] not in ("file", "command", "memory"):
        sources = f"{counted(len(recording.sources), 'source')} of type {', '.join(kinds)}"
        return f"recording '{recording.id}' has {sources}, not one file"
    channels = supervision.channel if isinstance(supervision.channel, list) else [supervision.channel]
    if sorted(channels) != sorted(recording.channel_ids):
        return (
            f"channel {', '.join(map(str, channels))} of recording '{recording.id}', which has "
            f"{len(recording.channel_ids)} in one file; channels would be averaged: write them apart first"
        )
    transforms = [t["name"] if isinstance(t, dict) else type(t).__name__ for t in recording.transforms or []]
    changing = [name for name in transforms if name != "Resample"]
    if changing:
        return f"recording '{recording.id}' is changed on the fly by lhotse ({', '.join(changing)}): give the plain one"
    return None
