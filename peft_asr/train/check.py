"""Training options that cannot work are refused before anything is loaded."""

import logging

import torch

from peft_asr.config import Config, TrainConfig
from peft_asr.data.speed import check_speeds
from peft_asr.errors import UserError, nearest
from peft_asr.frozen.choice import check as check_dump
from peft_asr.heads import build_head
from peft_asr.tasks import task_class
from peft_asr.train.optim import OPTIMIZERS
from peft_asr.train.schedule import SCHEDULES

logger = logging.getLogger(__name__)

_CHOICES = {
    "optimizer": tuple(OPTIMIZERS),
    "schedule": SCHEDULES,
    "dtype": ("float32", "bfloat16", "auto"),
}
_AT_LEAST_ONE = ("accum", "log_every", "valid_every", "save_every", "keep_best")
_NOT_NEGATIVE = (
    "warmup_steps",
    "hold_steps",
    "max_steps",
    "max_epochs",
    "clip",
    "weight_decay",
    "patience",
    "nonfinite_limit",
)


def check_options(config: Config, directories: bool = True) -> None:
    """Check every option of training for itself and, unless they are still to be made, the directories for being named.

    Raises:
        UserError: with the option, its value and what is allowed.
    """
    train = config.train
    task = task_class(config.task, config.head.name)
    for name, allowed in {**_CHOICES, "metric": ("auto", *task.metrics, "loss")}.items():
        value = getattr(train, name)
        if value not in allowed:
            raise UserError(f"train.{name}={value}{nearest(value, allowed)}; allowed: {', '.join(allowed)}")
    for name in _AT_LEAST_ONE:
        _require(train, name, getattr(train, name) >= 1, "1 or more")
    for name in _NOT_NEGATIVE:
        _require(train, name, getattr(train, name) >= 0, "0 or more")
    for name in ("lr", "lr_head", "lr_method", "lr_backbone"):
        value = getattr(train, name)
        _require(train, name, value is None or 0 < value < float("inf"), "more than 0")
    for part, value in train.lr_parts.items():
        if not 0 < value < float("inf"):
            raise UserError(f"train.lr_parts.{part}={value} cannot be; allowed: more than 0")
    _require(
        train,
        "betas",
        len(train.betas) == 2 and all(0 <= b < 1 for b in train.betas),
        "two numbers in [0, 1)",
    )
    _require(train, "final_lr_scale", 0 < train.final_lr_scale <= 1, "in (0, 1]")
    if not train.max_steps and not train.max_epochs:
        raise UserError(
            "train.max_steps and train.max_epochs are both 0, so the run would never end; set one of them"
        )
    mask = train.mask
    for name in ("time_prob", "feature_prob"):
        _require(mask, name, 0 <= getattr(mask, name) < 1, "in [0, 1)", "train.mask.")
    for name in ("time_length_frames", "feature_length"):
        _require(mask, name, getattr(mask, name) >= 1, "1 or more", "train.mask.")
    _require(config, "seed", config.seed >= 0, "0 or more", "")
    head, data, decode = config.head, config.data, config.decode
    for name in ("hidden", "layers", "feedforward", "attention_heads", "kernel"):
        value = getattr(head, name)
        _require(head, name, value is None or value >= 1, "1 or more", "head.")
    _require(head, "projection", (head.projection or 0) >= 0, "0 (none) or more", "head.")
    _require(head, "dropout", 0 <= (head.dropout or 0) < 1, "in [0, 1)", "head.")
    with torch.device("meta"):
        build_head(head, dim=768, classes=3)  # for its own checks; which upstream does not matter to them
    _require(data, "num_workers", data.num_workers >= 0, "0 or more", "data.")
    _require(decode, "num_workers", decode.num_workers >= 0, "0 or more", "decode.")
    _require(decode, "batch_s", decode.batch_s > 0, "more than 0", "decode.")
    check_dump(config)
    check_speeds(data.speed_perturb)
    if train.frozen_alone and config.upstream.padding != "exact":
        raise UserError(
            "train.frozen_alone=true needs upstream.padding=exact: alone, no utterance has padding"
        )
    for name in ("train_dir", "valid_dir", "token_dir") if directories else ():
        if not getattr(data, name):
            raise UserError(f"data.{name} is empty; give --{name} DIR, as stage 2 leaves it")


def _require(section: object, name: str, fine: bool, allowed: str, prefix: str = "train.") -> None:
    if not fine:
        raise UserError(f"{prefix}{name}={getattr(section, name)} cannot be; allowed: {allowed}")


def check_length(config: TrainConfig, total_steps: int) -> None:
    """Warn when the warm-up (with the hold phase) is not shorter than the run."""
    rise = config.warmup_steps + (config.hold_steps if config.schedule == "tri_stage" else 0)
    if rise and rise >= total_steps:
        logger.warning(
            "warm-up (and hold) take %d steps but the run has only %d, so the learning rate never decays; "
            "set train.warmup_steps lower or train.max_steps higher",
            rise,
            total_steps,
        )
