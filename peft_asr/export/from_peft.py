"""An adapter directory of huggingface/peft (LoRA and CTC head) as an adapter of ours."""

import dataclasses
from pathlib import Path

import torch
from torch import Tensor

from peft_asr import peft
from peft_asr.config import Config, HeadConfig, PeftConfig, UpstreamConfig, config_from_dict
from peft_asr.errors import UserError
from peft_asr.export.bases import BASES, known_base
from peft_asr.export.names import CLASSES, Names, family_of
from peft_asr.export.origin import read_origin, write_origin
from peft_asr.export.peft_files import LoraSettings, read_settings, read_tensors
from peft_asr.export.to_hf import normalizes
from peft_asr.export.vocabulary import read_token_file, read_vocabulary
from peft_asr.files import new_directory, read_json
from peft_asr.tasks import SpeechModel, build
from peft_asr.tasks.adapter import read_meta, save_adapter
from peft_asr.upstream.encoder import Encoder
from peft_asr.upstream.layer import LINEAR_MAPS

START = "base_model.model."  # of every name that peft writes
HEAD = f"{START}lm_head."


def import_peft(
    adapter: str | Path,
    out: str | Path,
    *,
    upstream: str | None = None,
    upstream_ckpt: str | None = None,
    tokens: str | None = None,
    allow_pickle: bool = False,
) -> SpeechModel:
    """Write ``out/adapter``, which ``transcribe``, ``decode`` and ``info`` read; returns its model.

    Args:
        adapter: directory with adapter_config.json and adapter_model.safetensors.
        upstream, upstream_ckpt: the base model here, by name or as a checkpoint; without them what the directory says.
        tokens: the token list, one a line, if the directory has no vocab.json.
        allow_pickle: read adapter_model.bin, where there is no safetensors file.

    Raises:
        UserError: no such adapter; one of another kind or with features that are not known here; made for another
            base; a tensor too many or too few; no token list; ``out`` exists.
    """
    folder = Path(adapter)
    settings, given = read_settings(folder), read_tensors(folder, allow_pickle)
    head = {n.removeprefix(HEAD): given.pop(n) for n in sorted(given) if n.startswith(HEAD)}
    if set(head) != {"weight", "bias"}:
        raise UserError(f"{folder} lacks the CTC head: it has {sorted(head)} of {HEAD}weight and {HEAD}bias")
    classes = len(head["weight"])
    if tokens:
        tokenizer, order = read_token_file(tokens, classes), torch.arange(classes)
    else:
        tokenizer, order = read_vocabulary(folder, classes)
    origin = read_origin(folder)
    config = _config(settings, origin, upstream, upstream_ckpt)
    plain = build(dataclasses.replace(config, peft=PeftConfig("frozen")), tokenizer)
    _check_base(folder, settings, origin, plain, config)
    updates = _by_site(folder, settings, given, plain.encoder)
    part = _part(origin, settings)
    config.peft = PeftConfig(part, {part: _options(settings, list(updates), len(plain.encoder.layers))})
    injected = peft.inject(plain.encoder, peft.resolve(config.peft))
    model = SpeechModel(plain.encoder, injected, plain.head, plain.upstream_hash).eval()
    state = {f"head.output.{name}": tensor[order] for name, tensor in head.items()}
    for site, tensors in updates.items():
        state |= {f"encoder.{site}.{inner}.{part}.weight": tensor for inner, tensor in tensors.items()}
    model.load_trainable_state(state)
    with new_directory(out) as place:
        step, metrics = (origin["step"], origin["metrics"]) if origin else (0, {})
        save_adapter(place / "adapter", model, config, tokenizer, step=step, metrics=metrics)
        write_origin(place / "adapter", origin or read_meta(place / "adapter"), "import")
    return model


def _config(settings: LoraSettings, origin: dict | None, name: str | None, ckpt: str | None) -> Config:
    usual = {base: upstream for upstream, base in BASES.items()}
    if origin:
        config = config_from_dict(origin["config"])
        if name or ckpt:
            config.upstream = dataclasses.replace(
                config.upstream, name=name or config.upstream.name, ckpt=ckpt, random_init=False
            )
        config.head = HeadConfig()  # what check_ctc lets out, whichever version wrote it
        return config
    if not (name or ckpt or settings.base in usual):
        raise UserError(
            f"the adapter's base is {settings.base}, for which no upstream is known; give it with --upstream NAME or "
            "--upstream_ckpt FILE"
        )
    if name and settings.base in usual and known_base(name) not in (None, settings.base):
        raise UserError(
            f"the adapter belongs to {settings.base}, and --upstream {name} is {known_base(name)}; give --upstream "
            f"{usual[settings.base]}"
        )
    name = name or usual.get(settings.base) or Path(ckpt).stem
    return Config(upstream=UpstreamConfig(name=name, ckpt=ckpt), head=HeadConfig())


def _check_base(
    folder: Path, settings: LoraSettings, origin: dict | None, model: SpeechModel, config: Config
) -> None:
    """What can be said without looking at shapes: the fingerprint, and how waveforms come in."""
    if origin and model.upstream_hash != origin["upstream"]["sha256"]:
        raise UserError(
            f"{folder} belongs to the upstream {origin['upstream']['name']} ({origin['upstream']['sha256'][:12]}), but "
            f"this one is {model.upstream_hash[:12]}; give the right one with --upstream or --upstream_ckpt"
        )
    path = folder / "preprocessor_config.json"
    normalize, ours = (
        read_json(path).get("do_normalize") if path.is_file() else None,
        normalizes(model.encoder),
    )
    if normalize not in (None, ours):
        raise UserError(
            f"{folder} was trained with do_normalize {normalize}, and the upstream {config.upstream.name} works with "
            f"{ours}; --upstream hf:{settings.base or 'MODEL'} follows transformers"
        )


def _by_site(
    folder: Path, settings: LoraSettings, given: dict[str, Tensor], encoder: Encoder
) -> dict[str, dict[str, Tensor]]:
    """Our site -> ``lora_A``, ``lora_B`` (``lora_magnitude_vector``) -> tensor, all there and nothing left over."""
    names, prefix = Names(encoder), CLASSES[family_of(encoder.geometry)][1]
    belongs = f"the adapter belongs to another base (its own: {settings.base})"
    updates, left = {}, dict(given)
    for index in range(len(encoder.layers)):
        for target in LINEAR_MAPS:
            site = f"layers.{index}.{target}"
            module = f"{prefix}.{names.to_hf(site)}"
            if not settings.targets(module):
                continue
            linear = encoder.get_submodule(site)
            wanted = {
                "lora_A": (settings.rank, linear.in_features),
                "lora_B": (linear.out_features, settings.rank),
            }
            if settings.dora:
                wanted["lora_magnitude_vector"] = (linear.out_features,)
            updates[site] = {}
            for inner, shape in wanted.items():
                key = f"{START}{module}.{inner}"
                tensor = left.pop(f"{key}.weight", None)
                tensor = left.pop(key, None) if tensor is None else tensor
                if tensor is None:
                    raise UserError(
                        f"{folder} lacks '{key}', which its target_modules ask for on this upstream: the file is not "
                        f"whole, or {belongs}"
                    )
                if tuple(tensor.shape) != shape:
                    raise UserError(
                        f"{folder}: '{key}' is {tuple(tensor.shape)} and would be {shape} on this upstream: {belongs}"
                    )
                updates[site][inner] = tensor
    if left or not updates:
        what = f"holds '{min(left)}'" if left else "holds no update"
        raise UserError(
            f"{folder} {what}, which has no place in this upstream of {len(encoder.layers)} layers (attention and feed-"
            f"forward maps, named {START}{prefix}.encoder.layers.N...): {belongs}, or has targets elsewhere"
        )
    return updates


def _part(origin: dict | None, settings: LoraSettings) -> str:
    """The name of the source's only part, if the adapter is still the same LoRA; else ``lora``."""
    options = config_from_dict(origin["config"]).peft.options if origin else {}
    ranks = {part: values.get("rank") for part, values in options.items()}
    return next(iter(ranks)) if list(ranks.values()) == [settings.rank] else "lora"


def _options(settings: LoraSettings, sites: list[str], total: int) -> dict:
    """Options of ``lora`` for these sites.

    Raises:
        UserError: not the same maps in every layer.
    """
    layers = sorted({int(site.split(".")[1]) for site in sites})
    targets = [target for target in LINEAR_MAPS if any(site.endswith(f".{target}") for site in sites)]
    if len(sites) != len(layers) * len(targets):
        raise UserError(
            f"the adapter has other maps in some layers than in others ({', '.join(targets)} in layers {layers}, but "
            "not all of them), which lora here does not do"
        )
    return {
        "method": "lora",
        "layers": "all" if len(layers) == total else layers,
        "targets": targets,
        "rank": settings.rank,
        "alpha": settings.alpha,
        "dropout": settings.dropout,
        "rslora": settings.rslora,
        "dora": settings.dora,
    }
