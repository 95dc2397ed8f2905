"""What a dump says when its audio is done: the tables of the new directory and the list of bad utterances."""

import logging
from pathlib import Path

from peft_asr.data.data_dir import write_data_dir
from peft_asr.data.dump_job import flac_path
from peft_asr.data.dump_text import Transcripts, write_notes
from peft_asr.data.journal import Entry
from peft_asr.data.kaldi import DataDir
from peft_asr.data.tables import table_text
from peft_asr.errors import UserError
from peft_asr.files import write_if_changed

logger = logging.getLogger(__name__)


def report_bad(bad: dict[str, str], data: DataDir, out: Path, skip_bad: bool) -> None:
    """List bad utterances (id -> what is wrong) in ``bad_utts.txt``; warn, or fail unless ``skip_bad``.

    Raises:
        UserError: there are bad ones and they may not be skipped, or nothing else is left.
    """
    listing = out / "bad_utts.txt"
    if not bad:
        listing.unlink(missing_ok=True)
        return
    write_if_changed(listing, table_text(bad))
    first = "; ".join(f"{utt}: {reason}" for utt, reason in list(bad.items())[:3])
    count = f"{len(bad)} of {len(data.utt_ids)} utterances of {data.path} are bad"
    summary = f"{count}, listed in {listing}: {first}{f' and {len(bad) - 3} more' if len(bad) > 3 else ''}"
    if not skip_bad:
        raise UserError(f"{summary}; repair them, or leave them out with --skip_bad true")
    if len(bad) == len(data.utt_ids):
        raise UserError(f"{summary}; none is left")
    logger.warning("%s; left out", summary)


def write_tables(data: DataDir, entries: dict[str, Entry], transcripts: Transcripts, out: Path) -> bool:
    """Write the tables that have changed, ``wav.scp`` last; returns whether anything has."""
    kept = [utt for utt in data.utt_ids if not entries[utt].bad and utt not in transcripts.empty]
    write_notes(transcripts, out)
    return write_data_dir(
        out,
        {
            "utt2spk": {utt: data.utt2spk[utt] for utt in kept},
            "text": transcripts.text and {utt: transcripts.text[utt] for utt in kept},
            "utt2lang": transcripts.utt2lang and {utt: transcripts.utt2lang[utt] for utt in kept},
            "utt2num_samples": {utt: str(entries[utt].samples) for utt in kept},
            "wav.scp": {utt: str(flac_path(out, utt)) for utt in kept},
        },
    )
