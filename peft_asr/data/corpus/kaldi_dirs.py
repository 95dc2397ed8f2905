"""Kaldi directories, of this toolkit, ESPnet or Kaldi itself."""

from pathlib import Path

from peft_asr.data.corpus.rows import Listing, Row, absolute
from peft_asr.data.validate import check_dir, parse_segment, scan_dir


def read_kaldi_dir(path: Path, audio_dir: Path | None = None) -> Listing:
    """Read wav.scp and text, and segments, utt2spk and utt2lang where they exist.

    Relative paths start from the directory itself (or ``audio_dir``), not from where Kaldi was run.
    """
    tables = scan_dir(path)
    problems, _ = check_dir(path, tables, need_text=True, allow_pipes=True)
    # Without speakers each utterance is its own; spk2utt says nothing new.
    problems = [p for p in problems if p not in (f"{path} has no utt2spk", f"{path} has no spk2utt")]
    listing = Listing(problems=problems)
    if problems:
        listing.advice.append(f"utils/fix_data_dir.sh {path} repairs most")
        return listing
    base = audio_dir or path
    empty: dict = {}
    columns = {n: tables[n].rows if n in tables else empty for n in ("utt2spk", "utt2lang")}
    segments = tables.get("segments")
    recordings = tables["wav.scp"].rows
    for utt in (segments or tables["wav.scp"]).rows:
        segment = parse_segment(segments.rows[utt].value) if segments else None
        recording = segment.recording if segment else utt
        listing.rows.append(
            Row(
                where=tables["text"].at(utt),
                name=utt,
                audio=absolute(recordings[recording].value, base),
                text=tables["text"].rows[utt].value,
                utt_id=utt,
                speaker=columns["utt2spk"][utt].value if columns["utt2spk"] else None,
                lang=columns["utt2lang"][utt].value if columns["utt2lang"] else None,
                recording=recording,
                start_s=segment.start_s if segment else None,
                end_s=segment.end_s if segment else None,
            )
        )
    return listing
