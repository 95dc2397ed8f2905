"""What a saved adapter is, read from its own files; the upstream is not needed."""

import dataclasses
from typing import Any

from peft_asr import peft
from peft_asr.config import Config, config_from_dict
from peft_asr.decode.checkpoint import find_adapter
from peft_asr.errors import UserError
from peft_asr.export.origin import read_origin
from peft_asr.tasks.adapter import META, read_meta


def describe_adapter(exp: str) -> dict[str, Any]:
    """Everything there is to say, as values that JSON can hold.

    Args:
        exp: experiment or adapter directory.

    Raises:
        UserError: no adapter there, or its description is damaged.
    """
    folder = find_adapter(exp)
    meta = read_meta(folder)
    try:
        config = config_from_dict(meta["config"])
        return {
            "adapter": str(folder),
            "task": config.task,
            "method": config.peft.name,
            "options": _options(config),
            "upstream": {
                **meta["upstream"],
                "ckpt": config.upstream.ckpt,
                "random_init": config.upstream.random_init,
            },
            "padding": config.upstream.padding,
            "boundary": meta["boundary"],
            "head": config.head.name,
            "tokens": {"type": meta["tokenizer"]["type"], "count": len(meta["tokenizer"]["tokens"])},
            "trainable": meta["trainable"],
            "bytes": sum(path.stat().st_size for path in folder.iterdir()),
            "step": meta["step"],
            "metrics": meta["metrics"],
            "seed": config.seed,
            "training": _training(config, meta["trainable"]),
            "origin": _origin(read_origin(folder)),
            "config": meta["config"],
        }
    except (KeyError, TypeError) as err:
        raise UserError(
            f"{folder / META} is damaged: {err!r}; train again or copy the adapter again"
        ) from err


def _options(config: Config) -> dict[str, dict]:
    return {method.part: dataclasses.asdict(method.options) for method in peft.resolve(config.peft)}


def _training(config: Config, trainable: dict[str, int]) -> dict[str, Any]:
    """How it was trained; ``lr`` is the highest rate of each group that has parameters, and of single parts."""
    train = config.train
    given = {"head": train.lr_head, "method": train.lr_method, "backbone": train.lr_backbone}
    rates = {name: train.lr if rate is None else rate for name, rate in given.items() if trainable.get(name)}
    return {
        "lr": {**rates, **train.lr_parts},
        "optimizer": train.optimizer,
        "schedule": train.schedule,
        "warmup_steps": train.warmup_steps,
        "batch_s": config.data.batch_s * train.accum,
        "dtype": train.dtype,
        "chosen_by": train.metric,
        "averaged": train.keep_best if train.average_best else 1,
        "train_dir": config.data.train_dir,
        "valid_dir": config.data.valid_dir,
    }


def _origin(origin: dict | None) -> dict[str, Any] | None:
    """What a merged or imported adapter was made from."""
    if origin is None:
        return None
    config = config_from_dict(origin["config"])
    return {
        "made_by": origin["made_by"],
        "method": origin["peft"],
        "options": _options(config),
        "upstream": origin["upstream"],
        "trainable": origin["trainable"],
        "step": origin["step"],
        "training": _training(config, origin["trainable"]),
    }


def adapter_lines(facts: dict[str, Any]) -> list[str]:
    """``describe_adapter``'s answer for people."""
    upstream, tokens, origin = facts["upstream"], facts["tokens"], facts["origin"]
    random = ", random weights" if upstream["random_init"] else ""
    rows = [
        ("adapter", f"{facts['adapter']} ({facts['bytes']:,} bytes)"),
        ("task", facts["task"]),
        ("method", facts["method"]),
        *_option_rows(facts["options"]),
        ("upstream", f"{upstream['name']}{random}, sha256 {upstream['sha256'][:12]}"),
        ("checkpoint", upstream["ckpt"] or "found by the upstream's name"),
        ("padding", facts["padding"]),
        ("frozen below", facts["boundary"]),
        ("head", facts["head"]),
        ("tokens", f"{tokens['count']} of type {tokens['type']}"),
        ("trainable", _sizes(facts["trainable"])),
        *([] if origin else _training_rows(facts["training"], facts["step"], facts["seed"])),
        ("dev set", _scores(facts["metrics"], facts["training"]["chosen_by"])),
        *(_origin_rows(origin, facts["seed"]) if origin else []),
        ("use", f"peft-asr transcribe --exp {facts['adapter']} audio..."),
    ]
    return [f"{name:<14} {value}" for name, value in rows]


def _option_rows(options: dict[str, dict]) -> list[tuple[str, str]]:
    return [(f"  {part}", _pairs(values)) for part, values in options.items() if values]


def _sizes(trainable: dict[str, int]) -> str:
    groups = ", ".join(
        f"{group} {number:,}" for group, number in trainable.items() if group != "total" and number
    )
    return f"{trainable['total']:,} parameters ({groups})"


def _training_rows(training: dict[str, Any], step: int, seed: int) -> list[tuple[str, str]]:
    how = (
        f"{training['optimizer']}, {training['schedule']} schedule after {training['warmup_steps']} steps of warm-up, "
        f"{training['batch_s']:g} s of speech a step, {training['dtype']}"
    )
    best = training["averaged"]
    chosen = f"best by {training['chosen_by']}" + (
        f", or the mean of the best {best} if better" if best > 1 else ""
    )
    return [
        ("trained", f"{step} steps, seed {seed}; {chosen}"),
        ("  how", how),
        ("  lr", _pairs(training["lr"])),
        ("  data", f"{training['train_dir'] or 'not said'}; dev set {training['valid_dir'] or 'not said'}"),
    ]


def _origin_rows(origin: dict[str, Any], seed: int) -> list[tuple[str, str]]:
    if not origin["step"]:
        return [("made by", f"{origin['made_by']}; trained elsewhere, which its files do not describe")]
    upstream = origin["upstream"]
    return [
        (
            "made by",
            f"{origin['made_by']} of {origin['method']} on {upstream['name']}, sha256 {upstream['sha256'][:12]}",
        ),
        *_option_rows(origin["options"]),
        ("  trainable", _sizes(origin["trainable"])),
        *_training_rows(origin["training"], origin["step"], seed),
    ]


def _scores(metrics: dict[str, Any], chosen_by: str) -> str:
    """The metric that chose the checkpoint comes first."""
    return _pairs(dict(sorted(metrics.items(), key=lambda item: item[0] != chosen_by))) or "no metric"


def _pairs(values: dict[str, Any]) -> str:
    return ", ".join(
        f"{key} {value:.4g}" if isinstance(value, float) else f"{key} {value}"
        for key, value in values.items()
    )
