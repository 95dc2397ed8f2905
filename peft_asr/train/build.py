"""From a config to the parts of a run: tokens, upstream, method, head and data."""

from pathlib import Path

from peft_asr import tasks
from peft_asr.config import Config
from peft_asr.data.dataset import SpeechDataset
from peft_asr.data.loader import SpeechLoader
from peft_asr.frozen.choice import masks
from peft_asr.frozen.read import start_from_dump
from peft_asr.tasks.adapter import save_adapter
from peft_asr.text.tokenizer import Tokenizer
from peft_asr.train.parts import Parts
from peft_asr.train.ranks import ALONE, Ranks
from peft_asr.train.seeding import derive


def build_parts(config: Config, ranks: Ranks = ALONE, pin: bool = False) -> Parts:
    """Load tokens, upstream, method, head and data; the loaders yield the shares of this one of ``ranks``.

    Args:
        pin: training is on a GPU.

    Raises:
        UserError: whatever of these is missing, broken or unknown.
    """
    tokenizer = Tokenizer.load(config.data.token_dir)
    model = tasks.build(config, tokenizer)
    model.encoder.checkpointing = config.train.gradient_checkpointing
    if config.train.frozen_alone:
        model.encoder.alone_to = model.encoder.dump_boundary(masks(config))
    if config.train.compile:
        for layer in model.encoder.layers:
            layer.compile(dynamic=True)
    task = tasks.get_task(config.task, tokenizer, config.head.name)

    options = config.data
    fastest = max(options.speed_perturb, default=1.0)
    limits = {
        "min_s": options.min_s,
        "max_s": options.max_s,
        "num_frames": lambda samples: model.num_frames(int(samples / fastest)),
    }
    train_set = SpeechDataset.load(options.train_dir, task, role="train", **limits)
    valid_set = SpeechDataset.load(options.valid_dir, task, role="valid", **limits)
    started_from = start_from_dump(
        config, model, {options.train_dir: train_set, options.valid_dir: valid_set}
    )
    common = {"num_workers": options.num_workers, "rank": ranks.rank, "world": ranks.world, "pin": pin}
    train_loader = SpeechLoader(
        train_set, options.batch_s, config.seed, True, options.buckets, speeds=options.speed_perturb, **common
    )
    valid_loader = SpeechLoader(valid_set, options.valid_batch_s, shuffle=False, **common)

    def save(folder: Path, step: int, metrics: dict) -> None:
        save_adapter(folder, model, config, tokenizer, step=step, metrics=metrics)

    data = {
        "train_utterances": len(train_set),
        "train_batches": train_loader.num_batches(1),
        "valid_utterances": len(valid_set),
        "tokens": f"{derive(*tokenizer.tokens):016x}",
        "upstream": model.upstream_hash,
        "start": started_from,
    }
    return Parts(model, task, train_loader, valid_loader, save, data)
