"""What a corpus is, by looking at it, and its rows."""

from collections.abc import Callable
from pathlib import Path

from peft_asr.data.corpus import huggingface, kaldi_dirs, lhotse_manifests, table_files
from peft_asr.data.corpus.rows import Listing
from peft_asr.errors import UserError

METADATA = ("metadata.csv", "metadata.tsv", "metadata.jsonl")
ALLOWED = (
    "a .tsv, .csv or .jsonl file, a folder with metadata.csv, a Kaldi directory, a data set that Hugging Face's "
    "datasets saved, hf:ORG/NAME, or lhotse manifests (..._recordings_..., ..._supervisions_..., ..._cuts_....jsonl.gz)"
)


def read_corpus(corpus: str, audio_dir: Path | None = None) -> Listing:
    """Read any corpus.

    A folder whose sub-folders are Kaldi directories or hold a metadata file is read as one corpus, whose
    splits they are.

    Args:
        corpus: a file, a folder, or ``hf:ORG/NAME[:CONFIGURATION]``.
        audio_dir: what relative paths start from; default: the folder of the file that they stand in.

    Raises:
        UserError: nothing like that is there, or it is none of the formats.
    """
    if corpus.startswith("hf:"):
        return huggingface.read_named(corpus.removeprefix("hf:"), audio_dir)
    path = Path(corpus)
    if not path.exists():
        hint = f"; a data set of Hugging Face is written hf:{corpus}" if corpus.count("/") == 1 else ""
        raise UserError(f"--corpus: there is no {path}{hint}")
    if not path.is_dir():
        return _read_file(path, audio_dir)
    reader = _reader_of(path)
    if reader:
        return reader(path, audio_dir)
    parts = {sub: reader for sub in sorted(path.iterdir()) if sub.is_dir() and (reader := _reader_of(sub))}
    if not parts:
        raise UserError(f"--corpus: {path} is no corpus that is known here; allowed: {ALLOWED}")
    listing = Listing()
    for folder, reader in parts.items():
        listing.extend(reader(folder, audio_dir), split=folder.name)
    return listing


def _read_file(path: Path, audio_dir: Path | None) -> Listing:
    if lhotse_manifests.NAME.fullmatch(path.name):
        return lhotse_manifests.read_lhotse([path], audio_dir)
    if path.suffix.lower() in (".tsv", ".csv", ".jsonl"):
        return table_files.read_table_file(path, audio_dir)
    raise UserError(f"--corpus: the format of {path} is not known by its name; allowed: {ALLOWED}")


def _reader_of(folder: Path) -> Callable[[Path, Path | None], Listing] | None:
    if (folder / "wav.scp").is_file():
        return kaldi_dirs.read_kaldi_dir
    metadata = next((folder / name for name in METADATA if (folder / name).is_file()), None)
    if metadata:
        return lambda _, audio_dir: table_files.read_table_file(metadata, audio_dir)
    if (folder / "dataset_dict.json").is_file() or (folder / "state.json").is_file():
        return huggingface.read_saved
    manifests = lhotse_manifests.manifests_in(folder)
    if manifests:
        return lambda _, audio_dir: lhotse_manifests.read_lhotse(manifests, audio_dir)
    return None
