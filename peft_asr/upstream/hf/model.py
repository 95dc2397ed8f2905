"""transformers' own model of a checkpoint, built from plain values and loaded strictly."""

import contextlib
import dataclasses
import inspect
import json
from pathlib import Path

import torch
from torch import Tensor, nn

from peft_asr.errors import UserError
from peft_asr.upstream.hf import files
from peft_asr.upstream.hf.families import Family, family_of
from peft_asr.upstream.hf.geometry import HfGeometry

OPTIONAL = {"masked_spec_embed"}  # many published files lack it; masked frames become zero then


def read_geometry(folder: Path) -> HfGeometry:
    """The geometry of a model directory, from its configuration files.

    Raises:
        UserError: an architecture that does not fit, quantised weights, another sampling rate than 16 kHz, files that
            are missing or contradict each other.
    """
    values = files.read_config(folder)
    where, model_type = str(folder), values.get("model_type")
    family = family_of(model_type, where)
    if "quantization_config" in values:
        raise UserError(f"{where} holds quantised weights; take the model that they were made from")
    given = files.read_extractor(folder)
    if given.get("feature_extractor_type", family.extractor) != family.extractor:
        raise UserError(
            f"{where}: a '{model_type}' model goes with a {family.extractor}, but {files.EXTRACTOR} names "
            f"{given['feature_extractor_type']}"
        )
    extractor_values = {k: v for k, v in given.items() if k in _known_options(family)}
    try:
        config = _config(family, values)
        extractor = family.extractor_class(**extractor_values)
        shape = family.shape(config, extractor)
    # transformers checks types and ranges with errors of several kinds
    except (ArithmeticError, AttributeError, LookupError, TypeError, ValueError, _strict_error()) as err:
        detail = " ".join(str(err).split())[:200]
        raise UserError(
            f"{where}: its configuration does not describe a '{model_type}' model: {detail}"
        ) from err
    if extractor.sampling_rate != 16000:
        raise UserError(f"{where} wants audio at {extractor.sampling_rate} Hz; upstreams take 16000 Hz only")
    return HfGeometry(
        model_type=model_type,
        config=json.dumps(_plain(config), sort_keys=True),
        extractor=json.dumps(extractor_values, sort_keys=True),
        **shape,
    )


def build_model(geometry: HfGeometry, where: str = "this model") -> nn.Module:
    """transformers' model with random weights, on the current default device.

    Raises:
        UserError: the configuration describes no possible model.
    """
    family = family_of(geometry.model_type, where)
    try:
        return family.model_class(_config(family, json.loads(geometry.config)))
    except (ArithmeticError, AttributeError, LookupError, RuntimeError, TypeError, ValueError) as err:
        detail = " ".join(str(err).split())[:200]
        raise UserError(f"{where}: its configuration does not describe a model: {detail}") from err


def load_model(geometry: HfGeometry, state: dict[str, Tensor], where: str) -> nn.Module:
    """transformers' model with the weights of ``state``, in float32.

    Old and new names of weight norm and of renamed modules are told apart by transformers' own loader. What belongs to
    a head is left aside.

    Raises:
        UserError: a weight of the encoder is missing, has another shape, or is not finite.
    """
    family = family_of(geometry.model_type, where)
    if family.prefix:  # the model is one part of what transformers saves, e.g. Whisper's encoder
        state = {key.removeprefix("model."): tensor for key, tensor in state.items()}
        state = {k.removeprefix(family.prefix): t for k, t in state.items() if k.startswith(family.prefix)}
    config = _config(family, json.loads(geometry.config))
    try:
        with _quiet():
            model, info = family.model_class.from_pretrained(
                None, config=config, state_dict=state, output_loading_info=True, dtype=torch.float32
            )
    except (ArithmeticError, AttributeError, LookupError, RuntimeError, TypeError, ValueError) as err:
        detail = " ".join(str(err).split())[:300]
        raise UserError(f"{where}: the weights do not fit the model of its {files.CONFIG}: {detail}") from err
    missing = sorted(set(info["missing_keys"]) - OPTIONAL)
    if missing:
        more = f" and {len(missing) - 3} more" if len(missing) > 3 else ""
        raise UserError(f"{where} lacks weights of the encoder: {', '.join(missing[:3])}{more}")
    for name in OPTIONAL & set(info["missing_keys"]):
        delattr(model, name)
    tensors = [*model.parameters(), *model.buffers()]
    if not all(tensor.isfinite().all() for tensor in tensors):
        raise UserError(f"{where} holds weights that are NaN or infinite; fetch or convert it again")
    return model


def _config(family: Family, values: dict):
    """Only what the architecture needs: other keys of a config.json can name code, kernels or further files."""
    cls = family.model_class.config_class
    return cls(**{key: value for key, value in values.items() if key in _own_fields(cls)})


def _plain(config) -> dict:
    return {name: getattr(config, name) for name in _own_fields(type(config))}


def _own_fields(cls: type) -> set[str]:
    from transformers import PreTrainedConfig

    common = {field.name for field in dataclasses.fields(PreTrainedConfig)}
    return {field.name for field in dataclasses.fields(cls)} - common


def _known_options(family: Family) -> set[str]:
    kinds = (inspect.Parameter.POSITIONAL_OR_KEYWORD, inspect.Parameter.KEYWORD_ONLY)
    parameters = inspect.signature(family.extractor_class.__init__).parameters
    return {name for name, parameter in parameters.items() if parameter.kind in kinds} - {"self"}


def _strict_error() -> type[Exception]:
    from huggingface_hub.errors import StrictDataclassError

    return StrictDataclassError


@contextlib.contextmanager
def _quiet():
    """Without transformers' progress bar and its table of heads that were not loaded."""
    from transformers.utils import logging

    verbosity, bar = logging.get_verbosity(), logging.is_progress_bar_enabled()
    logging.set_verbosity_error()
    logging.disable_progress_bar()
    try:
        yield
    finally:
        logging.set_verbosity(verbosity)
        if bar:
            logging.enable_progress_bar()
