"""The work of one process of a feature dump: utterances through the frozen part, one by one, into one archive."""

import os
import zlib
from dataclasses import dataclass
from pathlib import Path

import kaldiio
import numpy as np
import torch

from peft_asr.config import Config
from peft_asr.data.activations import Stored, audio_hash
from peft_asr.data.dataset import Utterance, read_samples
from peft_asr.errors import UserError
from peft_asr.files import atomic_path
from peft_asr.tasks import build_encoder
from peft_asr.upstream.boundary import parse_boundary
from peft_asr.upstream.encoder import Encoder


@dataclass
class Job:
    """Utterances that become one archive, and all that a process needs to make it."""

    config: Config
    boundary: str
    dtype: str
    ark: Path
    utterances: list[Utterance]
    device: str
    threads: int  # 0: as torch has them


# The encoder that this process has loaded, and for which config.
_loaded: tuple[Config, Encoder] | None = None


def run_job(job: Job) -> list[Stored]:
    """Write the archive, whole or not at all.

    Every utterance runs alone and in float32, whatever training does: what is kept depends on nothing but the audio.

    Returns:
        An entry for each utterance.

    Raises:
        UserError: an utterance cannot be read, or its activations do not fit into the type; the disk is full.
    """
    encoder = _encoder(job)
    entries = []
    with atomic_path(job.ark) as temporary, open(temporary, "wb") as handle:
        for utterance in job.utterances:
            values = _values(encoder, utterance, job)
            offset = handle.tell() + len(utterance.utt_id.encode()) + 1
            numpy_format = {} if values.dtype == np.float32 else {"write_function": "numpy"}
            kaldiio.save_ark(handle, {utterance.utt_id: values}, **numpy_format)
            handle.flush()
            entries.append(_entry(utterance, values, job.ark.name, offset, handle.tell()))
    return entries


def _encoder(job: Job) -> Encoder:
    global _loaded
    if _loaded is None or _loaded[0] != job.config:
        if job.threads:
            torch.set_num_threads(job.threads)
        _loaded = job.config, build_encoder(job.config).encoder.to(job.device)
    return _loaded[1]


@torch.no_grad()
def _values(encoder: Encoder, utterance: Utterance, job: Job) -> np.ndarray:
    samples = torch.from_numpy(read_samples(utterance)).to(encoder.device)
    place = parse_boundary(job.boundary, len(encoder.layers))
    x = encoder.run_to(samples[None], torch.tensor([len(samples)], device=encoder.device), place)[0]
    x = x.reshape(-1, x.shape[-1]).cpu().float().numpy()
    with np.errstate(over="ignore"):
        values = x.astype(job.dtype)
    if not np.isfinite(values).all():
        finite = np.isfinite(x).all()
        detail = f"reach {np.abs(x).max():.3g}, more than {job.dtype} holds" if finite else "are not finite"
        advice = "use --dump_dtype float32" if finite else "leave it out in stage 2, or check the upstream"
        raise UserError(f"the activations of '{utterance.utt_id}' at {job.boundary} {detail}; {advice}")
    return values


def _entry(utterance: Utterance, values: np.ndarray, ark: str, offset: int, end: int) -> Stored:
    file = os.stat(utterance.path)
    return Stored(
        utt=utterance.utt_id,
        samples=utterance.samples,
        audio=audio_hash(utterance.path),
        bytes=file.st_size,
        mtime_ns=file.st_mtime_ns,
        rows=values.shape[0],
        columns=values.shape[1],
        ark=ark,
        offset=offset,
        end=end,
        crc=zlib.crc32(np.ascontiguousarray(values)),
    )
