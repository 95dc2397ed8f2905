#!/usr/bin/env python3
"""Make spoken digit strings from single recordings: the Kaldi directories of stage 1.

A string is 3 to 6 recordings of one speaker, joined with short gaps of that speaker's own background level. Every
recording is used the same number of times and at most once in a string; the order of the digits is random. The seed
fixes everything.
"""

import argparse
import csv
import sys
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import soundfile

from peft_asr.data.data_dir import write_data_dir
from peft_asr.errors import UserError

RATE_HZ = 8000
WORDS = "zero one two three four five six seven eight nine".split()
MIN_DIGITS, MAX_DIGITS = 3, 6
MIN_GAP_S, MAX_GAP_S = 0.05, 0.2
FADE_S = 0.005  # recordings are cut close to the speech: without a fade every joint would click
FRAME_S = 0.01

# The corpus's own split: recordings 0-4 of every speaker and digit are the test set.
TEST, DEV, TRAIN = range(0, 5), range(5, 10), range(10, 50)
UNSEEN = {"theo", "yweweler"}  # test speakers of the split "speaker"


@dataclass
class Recording:
    """One spoken digit: float32 samples at 8 kHz, without its constant offset, faded at both ends."""

    speaker: str
    digit: int
    number: int
    samples: np.ndarray


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--audio", type=Path, required=True, help="what pack.py wrote")
    parser.add_argument("--split", choices=("utterance", "speaker"), required=True)
    parser.add_argument("--out", type=Path, required=True, help="data/")
    parser.add_argument("--suffix", default="", help="of the sets' names: train<suffix> ...")
    parser.add_argument("--seed", type=int, default=0)
    args = parser.parse_args()
    recordings = read_recordings(args.audio)
    for name, (chosen, uses) in split(recordings, args.split).items():
        speakers = {r.speaker for r in chosen}
        if not chosen or min(sum(r.speaker == s for r in chosen) for s in speakers) < MIN_DIGITS:
            sys.exit(
                f"strings.py: {args.audio} has too few recordings for the {name} set of --split {args.split}"
            )
        try:
            count = write_set(args.out / f"{name}{args.suffix}", name, chosen, uses, args.seed)
        except (OSError, soundfile.SoundFileError, UserError) as err:
            sys.exit(f"strings.py: cannot write {args.out}/{name}{args.suffix}: {err}")
        print(f"{name}{args.suffix}: {count} strings from {len(chosen)} recordings, each used {uses} times")


def read_recordings(folder: Path) -> list[Recording]:
    """All recordings that the table names, in its order."""
    try:
        with open(folder / "recordings.tsv", encoding="utf-8", newline="") as table:
            rows = list(csv.DictReader(table, delimiter="\t"))
    except OSError as err:
        sys.exit(
            f"strings.py: cannot read {folder}/recordings.tsv ({err.strerror}); --db names what local/pack.py made"
        )
    audio: dict[str, np.ndarray] = {}
    recordings = []
    for row in rows:
        speaker = row["speaker"]
        if speaker not in audio:
            audio[speaker] = read_flac(folder / f"{speaker}.flac")
        start, samples = int(row["start"]), int(row["samples"])
        piece = audio[speaker][start : start + samples]
        if len(piece) != samples:
            sys.exit(
                f"strings.py: {folder}/{speaker}.flac ends before sample {start + samples} of recordings.tsv"
            )
        recordings.append(Recording(speaker, int(row["digit"]), int(row["number"]), clean(piece)))
    return recordings


def read_flac(path: Path) -> np.ndarray:
    try:
        audio, rate_hz = soundfile.read(path, dtype="float32")
    except (OSError, soundfile.SoundFileError) as err:
        sys.exit(f"strings.py: cannot read {path}: {err}")
    if rate_hz != RATE_HZ or audio.ndim != 1:
        sys.exit(f"strings.py: {path} is not mono at {RATE_HZ} Hz")
    return audio


def clean(samples: np.ndarray) -> np.ndarray:
    """Without the constant offset (one speaker's is 1/128) and with faded ends."""
    samples = samples - samples.mean()
    ramp = np.linspace(0, 1, int(FADE_S * RATE_HZ), dtype=np.float32)
    samples[: len(ramp)] *= ramp
    samples[len(samples) - len(ramp) :] *= ramp[::-1]
    return samples


def split(recordings: list[Recording], kind: str) -> dict[str, tuple[list[Recording], int]]:
    """Set name -> its recordings and how often each is used."""
    if kind == "utterance":
        return {
            "train": ([r for r in recordings if r.number in TRAIN], 5),
            "dev": ([r for r in recordings if r.number in DEV], 2),
            "test": ([r for r in recordings if r.number in TEST], 3),
        }
    seen = [r for r in recordings if r.speaker not in UNSEEN]
    return {
        "train": ([r for r in seen if r.number in TRAIN], 5),
        "dev": ([r for r in seen if r.number in DEV], 2),
        "test": ([r for r in recordings if r.speaker in UNSEEN], 1),
    }


def write_set(out: Path, name: str, recordings: list[Recording], uses: int, seed: int) -> int:
    """Write one Kaldi directory and its audio; returns the number of strings."""
    # A stream of its own per set: changing one set leaves the others as they are.
    rng = np.random.default_rng([seed, *name.encode()])
    (out / "audio").mkdir(parents=True, exist_ok=True)
    tables: dict[str, dict[str, str]] = {"wav.scp": {}, "text": {}, "utt2spk": {}}
    for speaker in sorted({r.speaker for r in recordings}):
        own = [r for r in recordings if r.speaker == speaker]
        strings = [s for _ in range(uses) for s in cut(rng.permutation(len(own)), rng)]
        for index, string in enumerate(strings, start=1):
            utt = f"{speaker}-{name}-{index:04d}"
            digits = [own[i] for i in string]
            path = out / "audio" / f"{utt}.flac"  # relative to the recipe, as --out is
            soundfile.write(path, join(digits, rng), RATE_HZ, subtype="PCM_16")
            tables["wav.scp"][utt] = str(path)
            tables["text"][utt] = " ".join(WORDS[r.digit] for r in digits)
            tables["utt2spk"][utt] = speaker
    write_data_dir(out, tables)
    return len(tables["text"])


def cut(order: np.ndarray, rng: np.random.Generator) -> list[np.ndarray]:
    """Cut a sequence of at least 3 into strings of 3 to 6, leaving no rest."""
    strings, start = [], 0
    while start < len(order):
        left = len(order) - start
        lengths = [n for n in range(MIN_DIGITS, MAX_DIGITS + 1) if n == left or left - n >= MIN_DIGITS]
        length = int(rng.choice(lengths))
        strings.append(order[start : start + length])
        start += length
    return strings


def join(digits: list[Recording], rng: np.random.Generator) -> np.ndarray:
    """Recordings with gaps before, between and after, the gaps at the level of their quietest 10 ms."""
    level = min(quietest(r.samples) for r in digits)

    def gap() -> np.ndarray:
        samples = int(rng.uniform(MIN_GAP_S, MAX_GAP_S) * RATE_HZ)
        return (level * rng.standard_normal(samples)).astype(np.float32)

    pieces = [gap()]
    for recording in digits:
        pieces += [recording.samples, gap()]
    return np.concatenate(pieces)


def quietest(samples: np.ndarray) -> float:
    """The lowest RMS of a 10 ms frame; the first and the last are faded, so quieter than the room, and do not count."""
    frame = int(FRAME_S * RATE_HZ)
    frames = samples[: len(samples) // frame * frame].reshape(-1, frame)[1:-1]
    return float(np.sqrt((frames**2).mean(axis=1)).min())


if __name__ == "__main__":
    main()
