"""Tasks and the models that serve them."""

import torch

from peft_asr import peft
from peft_asr.config import Config
from peft_asr.errors import UserError, nearest
from peft_asr.heads import build_head
from peft_asr.tasks.asr import AsrTask
from peft_asr.tasks.speech_model import SpeechModel
from peft_asr.tasks.task import Task
from peft_asr.upstream import fingerprint, load_upstream

__all__ = ["TASKS", "SpeechModel", "Task", "build", "get_task"]

TASKS: dict[str, type[Task]] = {"asr": AsrTask}


def get_task(name: str, tokenizer) -> Task:
    """The task of this name over this tokenizer.

    Raises:
        UserError: unknown name.
    """
    if name not in TASKS:
        raise UserError(
            f"unknown task '{name}'{nearest(name, TASKS)}; allowed for task (run.sh: --task): {', '.join(TASKS)}"
        )
    return TASKS[name](tokenizer)


def build(config: Config, tokenizer) -> SpeechModel:
    """Load the upstream, inject the methods, put the head on top; in eval mode.

    New weights are drawn from ``config.seed`` alone, the head's apart from the methods', so that methods are compared
    with the same head.

    Raises:
        UserError: anything in the config that does not exist or does not fit.
    """
    task = get_task(config.task, tokenizer)
    methods = peft.resolve(config.peft)
    encoder = load_upstream(config.upstream, seed=config.seed)
    upstream_hash = fingerprint(encoder)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(config.seed + 1)
        injected = peft.inject(encoder, methods)
        torch.manual_seed(config.seed)
        head = build_head(config.head, encoder.readout.dim, task.classes)
    return SpeechModel(encoder, injected, head, upstream_hash).eval()
