"""Tasks and the models that serve them."""

from dataclasses import replace
from typing import NamedTuple

import torch

from peft_asr import peft
from peft_asr.config import Config
from peft_asr.errors import UserError, nearest
from peft_asr.heads import HEADS, build_head, head_class, resolve_head
from peft_asr.tasks.asr import AsrTask
from peft_asr.tasks.asr_lid import AsrLidTask
from peft_asr.tasks.lid import LidTask, PooledLidTask
from peft_asr.tasks.pr import PrTask
from peft_asr.tasks.speech_model import SpeechModel
from peft_asr.tasks.task import Reading, Task
from peft_asr.upstream import Encoder, fingerprint, load_upstream

__all__ = [
    "TASKS",
    "AdaptedEncoder",
    "Reading",
    "SpeechModel",
    "Task",
    "build",
    "build_encoder",
    "get_task",
    "resolve",
]

TASKS: dict[str, type[Task]] = {"asr": AsrTask, "pr": PrTask, "lid": LidTask, "asr_lid": AsrLidTask}
POOLED_TASKS: dict[str, type[Task]] = {
    "lid": PooledLidTask
}  # the forms for heads with one vector an utterance


def task_class(name: str, head: str = "linear") -> type[Task]:
    """The task of this name, in the form that goes with this head.

    Raises:
        UserError: unknown name of either, or a head that the task cannot use.
    """
    if name not in TASKS:
        raise UserError(
            f"unknown task '{name}'{nearest(name, TASKS)}; allowed for task (run.sh: --task): {', '.join(TASKS)}"
        )
    if not head_class(head).pooled:
        return TASKS[name]
    if name not in POOLED_TASKS:
        frames = ", ".join(each for each, cls in HEADS.items() if not cls.pooled)
        raise UserError(
            f"the head '{head}' gives one vector an utterance, and the task {name} needs frames; allowed for head.name "
            f"with it: {frames}"
        )
    return POOLED_TASKS[name]


def get_task(name: str, tokenizer, head: str = "linear") -> Task:
    """The task of this name over this tokenizer, in the form that goes with this head; errors as ``task_class``."""
    return task_class(name, head)(tokenizer)


def resolve(config: Config) -> Config:
    """The config with what follows from other options spelled out: parts of a preset, a head's own sizes,
    ``train.metric: auto``.

    Resolving twice changes nothing.

    Raises:
        UserError: an unknown task, method or head.
    """
    task = task_class(config.task, config.head.name)
    metric = task.metrics[0] if config.train.metric == "auto" else config.train.metric
    return replace(
        config,
        peft=peft.expand(config.peft),
        head=resolve_head(config.head),
        train=replace(config.train, metric=metric),
    )


class AdaptedEncoder(NamedTuple):
    """An encoder with its methods injected, and the fingerprint that it had before."""

    encoder: Encoder
    injected: peft.Injected
    upstream_hash: str


def build_encoder(config: Config) -> AdaptedEncoder:
    """Load the upstream and inject the methods, whose new weights are drawn from ``config.seed``.

    Raises:
        UserError: anything in the config that does not exist or does not fit.
    """
    methods = peft.resolve(config.peft)
    encoder = load_upstream(config.upstream, seed=config.seed)
    encoder.dropouts = config.train.backbone_dropout  # decides where a dump can stand, too
    upstream_hash = fingerprint(encoder)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(config.seed + 1)
        return AdaptedEncoder(encoder, peft.inject(encoder, methods), upstream_hash)


def build(config: Config, tokenizer) -> SpeechModel:
    """Load the upstream, inject the methods, put the head on top; in eval mode.

    New weights are drawn from ``config.seed`` alone, the head's apart from the methods', so that methods are compared
    with the same head.

    Raises:
        UserError: anything in the config that does not exist or does not fit.
    """
    task = get_task(config.task, tokenizer, config.head.name)
    encoder, injected, upstream_hash = build_encoder(config)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(config.seed)
        head = build_head(config.head, encoder.readout.dim, task.classes)
    return SpeechModel(encoder, injected, head, upstream_hash).eval()
