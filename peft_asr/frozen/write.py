"""Stage 2's dump of activations: what the frozen part makes of every utterance, for training to start from."""

import logging
from collections.abc import Sequence
from pathlib import Path

from peft_asr.config import Config
from peft_asr.data.dataset import SpeechDataset
from peft_asr.errors import UserError
from peft_asr.frozen import choice
from peft_asr.frozen.dump_set import bytes_there, dump_set
from peft_asr.frozen.place import Model, folder_of, identity
from peft_asr.frozen.size import Size, check_room, rows
from peft_asr.tasks import build_encoder

logger = logging.getLogger(__name__)


def dump_features(
    config: Config, data_dirs: Sequence[str], *, limit_gb: float, nj: int = 1, device: str = "cpu"
) -> str | None:
    """Write the activations of these sets at the boundary that ``config.data.dump`` names.

    What is there and current is left alone; after a kill it goes on where it was. Paths in ``feats.scp`` are absolute.

    Args:
        config: as training takes it: upstream, method, masking, ``data.dump``, ``data.dump_dir``, ``data.dump_dtype``.
        data_dirs: ``dump/audio/<set>``, as stage 2 leaves them.
        limit_gb: more is not written: ``auto`` takes a lower boundary or none, anything else is an error.
        nj: processes; with a GPU one.
        device: where the encoder runs.

    Returns:
        The boundary, or None where ``auto`` found that training should start from audio.

    Raises:
        UserError: the boundary does not suit the method; too large, or too little room; audio that cannot be read.
    """
    choice.check(config)
    if nj < 1:
        raise UserError(f"--nj is a number of processes, at least 1; got {nj}")
    model = build_encoder(config)
    datasets = [SpeechDataset.load(folder, None, role="test") for folder in data_dirs]
    for dataset, folder in zip(datasets, data_dirs, strict=True):
        if short := [u for u in dataset.utterances if rows(model, "all", u.samples) < 1]:
            # Training and decoding name them themselves.
            logger.info("%s: %d utterances are too short for this upstream", folder, len(short))
            dataset.utterances = [u for u in dataset.utterances if rows(model, "all", u.samples) >= 1]
    boundary = _choose(config, model, data_dirs, datasets, limit_gb)
    if boundary is not None:
        for folder, dataset in zip(data_dirs, datasets, strict=True):
            dump_set(config, model, boundary, folder, dataset, nj, device)
    return boundary


def _choose(
    config: Config, model: Model, data_dirs: Sequence[str], datasets: list[SpeechDataset], limit_gb: float
) -> str | None:
    names, reason = choice.candidates(config, model)
    for name in names:
        wanted = identity(config, model, name)
        sizes = [Size(model, name, wanted["states"], wanted["dtype"], dataset) for dataset in datasets]
        for size in sizes:
            logger.info("at %s, %s", name, size.text)
        there = [bytes_there(folder_of(config, model, name, folder)) for folder in data_dirs]
        needed = sum(size.bytes for size in sizes) - sum(there)
        total = sum(size.bytes for size in sizes)
        reason = check_room(Path(config.data.dump_dir), total, needed, limit_gb)
        if not reason:
            return name
        if config.data.dump != "auto":
            raise UserError(
                f"--dump {name}: {reason}; a dump at another boundary, or --dump none, takes less"
            )
        logger.info("no dump at %s: %s", name, reason)
    logger.info("no dump: %s; training starts from audio", reason)
    return None
