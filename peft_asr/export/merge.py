"""A trained model as an upstream of its own: the method dissolved in the checkpoint, the head beside it."""

import dataclasses
from pathlib import Path

import torch
from torch import Tensor

from peft_asr.config import Config, PeftConfig
from peft_asr.errors import UserError
from peft_asr.export.origin import write_origin
from peft_asr.files import new_directory
from peft_asr.tasks import SpeechModel, build
from peft_asr.tasks.adapter import Loaded, save_adapter
from peft_asr.upstream import HF_PREFIX, find_checkpoint
from peft_asr.upstream.checkpoint import family_module
from peft_asr.upstream.encoder import Encoder
from peft_asr.upstream.safe_load import read_checkpoint

CHECKPOINT = "upstream.pt"
SECTIONS = ("model_weight", "model", "Distiller")  # the key of the weights, in the formats that s3prl reads


def merge_experiment(loaded: Loaded, out: str | Path) -> None:
    """Write ``out/upstream.pt``, a checkpoint in the format of the original one, and ``out/adapter``, the head on it.

    Every tensor of the original checkpoint is there, those that the model does not use too; what training changed is
    replaced. The new adapter's method is ``frozen``. ``out`` serves as an experiment (``transcribe``, ``decode``), and
    its checkpoint as an upstream to train on.

    Raises:
        UserError: a method that cannot be merged; nothing to merge; an upstream that is no such checkpoint; ``out``
            exists.
    """
    out, config, model = Path(out).absolute(), loaded.config, loaded.model
    if all(method.name == "frozen" for method in model.injected.methods):
        raise UserError(
            f"--peft {config.peft.name} changes nothing in the upstream (or was merged already), so there is nothing "
            "to merge"
        )
    if config.upstream.name.startswith(HF_PREFIX):
        raise UserError(
            f"the upstream {config.upstream.name} is a Hugging Face model, and merge writes checkpoints of s3prl; "
            "peft-asr export --to hf writes the merged model"
        )
    if not len(model.encoder.layers):
        raise UserError(
            f"the upstream {config.upstream.name} runs through s3prl's own forward, and merge writes checkpoints of "
            "transformers alone"
        )
    merge_all(model)
    state = _merged_state(model.encoder, config)
    with new_directory(out) as folder:
        torch.save(state, folder / CHECKPOINT)
        merged = dataclasses.replace(
            config,
            peft=PeftConfig("frozen"),
            upstream=dataclasses.replace(config.upstream, ckpt=str(folder / CHECKPOINT), random_init=False),
        )
        # Read back from the file: what is saved is known to load, and the adapter gets its fingerprint.
        fresh = build(merged, loaded.tokenizer)
        fresh.head.load_state_dict(model.head.state_dict())
        merged.upstream.ckpt = str(out / CHECKPOINT)
        meta = loaded.meta
        save_adapter(
            folder / "adapter", fresh, merged, loaded.tokenizer, step=meta["step"], metrics=meta["metrics"]
        )
        write_origin(folder / "adapter", meta, "merge")


def merge_all(model: SpeechModel) -> None:
    """Merge every method of a model, in place.

    Raises:
        UserError: one that cannot be merged; weights that are not finite.
    """
    for method in model.injected.methods:
        reason = method.unmergeable()
        if reason:
            raise UserError(f"'{method.part}' cannot be merged: {reason}")
    for name, tensor in model.trainable_state().items():
        if not tensor.isfinite().all():
            raise UserError(f"'{name}' holds weights that are NaN or infinite: the training diverged")
    model.merge()


def _merged_state(encoder: Encoder, config: Config) -> dict:
    """The original checkpoint's content with the tensors of a plain encoder in their places."""
    path = find_checkpoint(config.upstream)
    state = read_checkpoint(path, config.upstream.trust_pickle)
    module = family_module(encoder.geometry.family)
    random = config.upstream.random_init
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(config.seed)
        original, geometry = module.build(state, str(path), load_weights=not random)
    keys = {id(parameter): key for key, parameter in original.named_parameters()}
    weights: dict[str, Tensor] = dict(original.state_dict()) if random else {}
    # An encoder shares its parameters with the model that it re-expresses: that is how a name finds its key.
    shared = module.to_encoder(original, geometry).named_parameters()
    merged = encoder.state_dict()
    weights |= {keys[id(parameter)]: merged[name] for name, parameter in shared}
    section = next(key for key in SECTIONS if key in state)
    replaced = {_key(key, state[section]): tensor.detach().clone() for key, tensor in weights.items()}
    return {**state, section: {**state[section], **replaced}}


def _key(key: str, given: dict) -> str:
    """The file's name of a tensor: the two factors of weight norm have an old and a new one."""
    for new, old in (
        ("parametrizations.weight.original0", "weight_g"),
        ("parametrizations.weight.original1", "weight_v"),
    ):
        if key not in given and key.replace(new, old) in given:
            return key.replace(new, old)
    return key
