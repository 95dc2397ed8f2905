"""A trained LoRA as an adapter directory of huggingface/peft, for transformers' model of the same upstream."""

import json
import math
from pathlib import Path

import torch
from safetensors.torch import save_file
from torch import Tensor

from peft_asr import compat  # noqa: F401  peft imports transformers, which imports torchaudio
from peft_asr.errors import UserError
from peft_asr.export.bases import check_base, known_base, strip_methods
from peft_asr.export.names import CLASSES, Names, family_of
from peft_asr.export.origin import write_origin
from peft_asr.export.to_hf import check_ctc, check_family, check_same, hf_model, write_processor
from peft_asr.files import new_directory, write_text
from peft_asr.peft.lora import Lora
from peft_asr.tasks.adapter import Loaded
from peft_asr.upstream import HF_PREFIX
from peft_asr.upstream.encoder import Encoder

TENSORS = "adapter_model.safetensors"
ATTENTION = ("q", "k", "v", "o")


def export_peft(loaded: Loaded, out: str | Path, base: str | None = None, with_base: bool = False) -> None:
    """Write ``out``: adapter_config.json, adapter_model.safetensors (LoRA and head), vocabulary, README.md.

    ``PeftModel.from_pretrained(HubertForCTC.from_pretrained(BASE, ...), out)`` reads it; README.md has the lines. The
    methods of the model are taken out again, in place.

    Args:
        base: a model of transformers (directory or name on the hub) that the adapter is for; its weights are compared.
        with_base: write the upstream itself as ``out/base``.

    Raises:
        UserError: not one LoRA alone; a part that transformers' class has no place for; ``base`` is another model;
            ``out`` exists.
    """
    check_ctc(loaded)
    if base and with_base:
        raise UserError("--base and --with_base are two answers to one question; give one of them")
    encoder, method = loaded.model.encoder, _the_lora(loaded)
    config, state = _adapter(encoder, method)
    head = loaded.model.head.output
    state |= {f"base_model.model.lm_head.{n}": t.detach().clone() for n, t in head.state_dict().items()}
    strip_methods(encoder)
    check_family(encoder)
    if base:
        check_base(encoder, base)
    out, classes = Path(out).absolute(), len(loaded.tokenizer)
    config.base_model_name_or_path = str(out / "base") if with_base else base or _usual_base(loaded)
    with new_directory(out) as folder:
        if with_base:
            theirs = hf_model(encoder, classes)
            check_same(encoder, theirs)
            theirs.save_pretrained(folder / "base")
        config.save_pretrained(folder)
        save_file(state, folder / TENSORS, metadata={"format": "pt"})
        write_processor(folder, encoder, loaded.tokenizer)
        write_origin(folder, loaded.meta, "export --to peft")
        write_text(folder / "README.md", _readme(loaded, config, classes))


def _the_lora(loaded: Loaded) -> Lora:
    methods = loaded.model.injected.methods
    if len(methods) != 1 or type(methods[0]) is not Lora:
        raise UserError(
            f"--to peft writes one LoRA adapter (lora, rslora, dora, pissa), and --peft is {loaded.config.peft.name}; "
            "--to hf writes the merged model for every method that merges"
        )
    inert = [t for t in methods[0].options.targets if t in ATTENTION]
    if family_of(loaded.model.encoder.geometry) == "wavlm" and inert:
        raise UserError(
            f"LoRA on {', '.join(inert)} would do nothing in transformers' WavLM, whose attention reads the weights "
            "past the modules; --to hf writes the merged model"
        )
    return methods[0]


def _adapter(encoder: Encoder, method: Lora):
    """peft's config and the tensors, by transformers' names."""
    names, o = Names(encoder), method.options
    prefix = CLASSES[family_of(encoder.geometry)][1]
    sites = sorted(method.sites(encoder))
    layers = sorted({int(site.split(".")[1]) for site in sites})
    config = method.tuner_config(sites)
    config.target_modules = [_module(names, target) for target in o.targets]
    if len(layers) < len(encoder.layers):
        config.layers_to_transform, config.layers_pattern = layers, "layers"
    config.modules_to_save = ["lm_head"]
    config.inference_mode = True
    config.init_lora_weights = True
    state, plain = {}, _plain_lora(encoder, method, config)
    if float(config.lora_alpha).is_integer():
        config.lora_alpha = int(config.lora_alpha)
    for name, tensor in plain.items():
        site = ".".join(name.split(".")[:3])
        inner = name.removeprefix(f"{site}.").replace(f".{method.part}", "", 1)
        inner = inner.replace("lora_magnitude_vector.weight", "lora_magnitude_vector")
        target = names.to_hf(site)
        state[f"base_model.model.{prefix}.{target}.{inner}"] = tensor.detach().float().cpu().clone()
    return config, state


def _module(names: Names, target: str) -> str:
    """``q`` -> ``attention.q_proj``, which ends the name of that module in every layer."""
    return names.to_hf(f"layers.0.{target}").removeprefix("encoder.layers.0.")


def _plain_lora(encoder: Encoder, method: Lora, config) -> dict[str, Tensor]:
    """Name in the encoder -> tensor of an ordinary LoRA with the same effect; ``config`` gets its rank.

    An init from the weights computes s (B A - B0 A0), which is a LoRA of twice the rank: s [B, -B0] [A; A0].
    """
    trained = {name: encoder.get_parameter(name) for name in method.declare(encoder)}
    start = method.kept(encoder)
    if not start:
        return trained
    o = method.options
    scale = o.alpha / (math.sqrt(o.rank) if o.rslora else o.rank)
    config.r, config.use_rslora = 2 * o.rank, False
    config.lora_alpha = scale * config.r
    doubled = {}
    for name, tensor in trained.items():
        site, letter = name.split(".lora_")[0], name.split(".lora_")[1][0]
        first = start[f"{site}.start_{letter}"]
        both = (tensor, first) if letter == "A" else (tensor, -first)
        doubled[name] = torch.cat(both, dim=0 if letter == "A" else 1)
    return doubled


def _usual_base(loaded: Loaded) -> str | None:
    """The base's name, where the upstream's own name settles it: a checkpoint file may hold anything."""
    upstream = loaded.config.upstream
    if upstream.random_init or upstream.ckpt:
        return None
    is_hf = upstream.name.startswith(HF_PREFIX)
    return upstream.name.removeprefix(HF_PREFIX) if is_hf else known_base(upstream.name)


def _readme(loaded: Loaded, config, classes: int) -> str:
    meta, stem = loaded.meta, CLASSES[family_of(loaded.model.encoder.geometry)][0]
    base = config.base_model_name_or_path
    said = (
        f"`{base}`" if base else "the upstream's checkpoint; export again with `--base` or `--with_base true`"
    )
    return f"""# {meta["peft"]} on {meta["upstream"]["name"]}

A LoRA adapter with its CTC head, trained with peft-asr for {meta["step"]} steps. Base model: {said}.

```python
import peft, transformers

base = transformers.{stem}ForCTC.from_pretrained(
    {json.dumps(base or "BASE")}, vocab_size={classes}, pad_token_id=0, ignore_mismatched_sizes=True
)
model = peft.PeftModel.from_pretrained(base, ADAPTER)  # ADAPTER: this directory
```

`preprocessor_config.json` and `vocab.json` belong to it. Pass one utterance at a time to models with a group norm
(the base sizes): transformers takes padding into its statistics.
"""
