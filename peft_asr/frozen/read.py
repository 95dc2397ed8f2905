"""Training, validation and decoding from a dump: finding it, and making sure that it is the right one."""

import logging

from peft_asr.config import Config
from peft_asr.data.activations import SCP, Activations
from peft_asr.data.dataset import SpeechDataset
from peft_asr.errors import UserError
from peft_asr.frozen import choice
from peft_asr.frozen.place import Model, differences, folder_of, identity

logger = logging.getLogger(__name__)


def start_from_dump(config: Config, model: Model, sets: dict[str, SpeechDataset]) -> str:
    """Make these sets yield activations where ``config.data.dump`` wants that.

    Args:
        sets: directory of stage 2 -> the utterances of it that are used. All start at the same boundary.

    Returns:
        What they yield now, e.g. ``layer:0 in float16``, or ``audio``.

    Raises:
        UserError: the boundary does not suit the method; the dump is missing (with ``auto``: training starts from
            audio), cut, or of another upstream, type or audio.
    """
    names, reason = choice.candidates(config, model)
    if config.data.dump == "none":
        return "audio"
    for name in names:
        folders = [folder_of(config, model, name, data_dir) for data_dir in sets]
        absent = [folder for folder in folders if not (folder / SCP).is_file()]
        if absent and config.data.dump == "auto":
            reason = reason or f"there is no dump in {absent[0]}"
            continue
        for data_dir, dataset in sets.items():
            dataset.start_from(open_dump(config, model, name, data_dir))
        dtype = next(iter(sets.values())).activations.dtype
        logger.info("starting from activations at %s in %s: %s", name, dtype, folders[0].parent)
        return f"{name} in {dtype}"
    logger.info("starting from audio: %s", reason)
    return "audio"


def open_dump(config: Config, model: Model, boundary: str, data_dir: str) -> Activations:
    """The dump of a set, checked to be what this run needs.

    Raises:
        UserError: it is missing, unfinished, cut, or of another upstream, boundary or type.
    """
    folder = folder_of(config, model, boundary, data_dir)
    dump = Activations(folder)
    if odd := differences(identity(config, model, boundary), dump.identity):
        raise UserError(
            f"{folder} holds the activations of something else ({odd}); remove it and run stage 2 again"
        )
    return dump
