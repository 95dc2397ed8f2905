"""Our side: config, data directory, ``build_parts``, ``gather`` and ``apply`` over the real loader; or ``decode``."""

import shutil
from pathlib import Path
from typing import Any

import torch

from peft_asr.bench.checkpoint import find_geometry
from peft_asr.bench.gauge import Gauge, peak_mb, reset_peak, resident_mb
from peft_asr.bench.setting import Setting
from peft_asr.bench.workload import LIMIT_S
from peft_asr.config import Config, load_config
from peft_asr.data.tables import read_table
from peft_asr.decode.decode import decode
from peft_asr.errors import UserError
from peft_asr.files import read_json
from peft_asr.tasks import resolve
from peft_asr.tasks.adapter import META
from peft_asr.tasks.storage import halve_frozen
from peft_asr.train.build import build_parts
from peft_asr.train.losses import to_device
from peft_asr.train.masking import build_masker
from peft_asr.train.optim import build_optimizer, set_learning_rates
from peft_asr.train.precision import autocast_dtype, pick_device
from peft_asr.train.step import NonfiniteGuard, apply, gather
from peft_asr.train.stop import StopSignals
from peft_asr.train.stream import BatchStream


def our_config(setting: Setting, options: dict[str, Any]) -> Config:
    """The config of a side.

    Args:
        options: ``peft`` (spec), ``dtype``, ``dump`` (none, frontend, layer:K, all; ``top_n``: the layer below the top
            n), ``top_n`` (layers that the method is in; a geometry with fewer gives all but one), ``set`` (more
            overrides).
    """
    overrides = [
        f"seed={setting.seed}",
        f"upstream.ckpt={setting.checkpoint}",
        f"peft.spec={options['peft']}",
        f"train.dtype={options.get('dtype', 'float32')}",
        f"data.train_dir={setting.corpus / 'train'}",
        f"data.valid_dir={setting.corpus / 'valid'}",
        f"data.token_dir={setting.corpus / 'tokens'}",
        f"data.batch_s={setting.batch_s}",
        f"data.max_s={LIMIT_S}",
        f"train.max_steps={setting.warmup + setting.steps}",
        *options.get("set", []),
    ]
    if (top := top_layers(setting, options)) is not None:
        overrides.append(f"peft.options.{options['peft']}.layers=top:{top}")
    if (dump := dump_of(setting, options)) is not None:
        kind, dtype = dump
        overrides += [
            f"data.dump={kind}",
            f"data.dump_dir={setting.dumps}",
            f"data.dump_dtype={dtype}",
        ]
    return resolve(load_config([], overrides))


def top_layers(setting: Setting, options: dict[str, Any]) -> int | None:
    """How many of the upper layers the method is in; None: all."""
    wanted = options.get("top_n")
    if wanted is None:
        return None
    layers = find_geometry(setting.geometry).layers
    return wanted if wanted <= layers else layers - 1


def dump_of(setting: Setting, options: dict[str, Any]) -> tuple[str, str] | None:
    """(boundary, dtype) of the dump that a side starts from; None: from audio."""
    kind = options.get("dump", "none")
    if kind == "none":
        return None
    if kind == "top_n":
        kind = f"layer:{find_geometry(setting.geometry).layers - top_layers(setting, options)}"
    # Half precision halves what is read; with fp32 arithmetic the dump is not to be what loses digits.
    half = options.get("dtype", "float32") != "float32" or options.get("half_dump", False)
    return kind, "float16" if half else "float32"


def train(setting: Setting, options: dict[str, Any]) -> dict:
    """Take steps as ``train.loop.fit`` takes them, without its validations, checkpoints and logs."""
    config = our_config(setting, options)
    samples = {utt: int(n) for utt, n in read_table(setting.corpus / "train" / "utt2num_samples").items()}
    gauge = Gauge(setting.warmup, setting.device)

    parts = build_parts(config)
    device = pick_device("0" if setting.device == "cpu" else "1")
    model = parts.model.to(device).train()
    dtype = autocast_dtype(config.train.dtype, device)
    optimizer = build_optimizer(model, config.train)
    total = setting.warmup + setting.steps
    if model.wants_first_batch:
        first = to_device(next(iter(parts.train_loader.epoch(1))), device)
        model.start(first.inputs, first.wav_lengths, first.at)
    model.begin(total)
    halve_frozen(model.encoder, dtype)
    wanted = dump_of(setting, options)
    guard, masker = NonfiniteGuard(config, 0, 0), build_masker(config.train.mask)
    stream = BatchStream(parts.train_loader, 1, 0)

    gauge.start()
    with StopSignals() as stop:
        for step in range(total):
            set_learning_rates(optimizer, step, total, config.train)
            optimizer.zero_grad(set_to_none=True)
            batches = list(gauge.fed(stream.take(config.train.accum)))
            done = gather(
                model, parts.task, batches, seed=config.seed, device=device, dtype=dtype, masker=masker,
                guard=guard, stop=stop,
            )  # fmt: skip
            if done.stopped:
                raise KeyboardInterrupt
            started_from = {getattr(batch, "at", "audio") for _, _, batch in batches}
            if (wanted is None) != (started_from == {"audio"}):
                raise UserError(
                    f"the batches start from {', '.join(sorted(started_from))}, and this side is to start from "
                    f"{wanted[0] if wanted else 'audio'}: the dump under {setting.dumps} does not fit"
                )
            apply(optimizer, config.train.clip, done.utterances)
            model.after_step(step + 1)
            utterances = [utt for _, _, batch in batches for utt in batch.utt_ids]
            gauge.stepped(
                done.loss_sum / max(done.utterances, 1),
                len(utterances),
                sum(samples[utt] for utt in utterances) / 16000,
            )
    stream.close()
    trainable = sum(p.numel() for p in model.parameters() if p.requires_grad)
    return gauge.report(
        trainable,
        dtype=str(dtype or torch.float32).removeprefix("torch."),
        started_from=", ".join(sorted(started_from)),
    )


def experiment(setting: Setting, options: dict[str, Any]) -> Path:
    """Where the adapter to decode with lies."""
    return setting.checkpoint.parent / f"exp_{options['peft']}_{setting.corpus.name}"


def write_adapter(setting: Setting, options: dict[str, Any]) -> None:
    """Leave the adapter that training would leave, untrained."""
    exp = experiment(setting, options)
    shutil.rmtree(exp, ignore_errors=True)
    build_parts(our_config(setting, options)).save(exp / "adapter", 1, {})


def decode_all(setting: Setting, options: dict[str, Any]) -> dict:
    """Decode the test set as stage 4 does, from audio to text on disk; a minute of speech is the unit.

    Loading the model is left out on both sides.
    """
    exp = experiment(setting, options)
    how = {"ngpu": "0" if setting.device == "cpu" else "1", "overwrite": True}
    overrides = options.get("decode_set", [])
    decode(str(exp), str(setting.corpus / "valid"), str(exp / "warmup"), overrides=overrides, **how)
    before_mb = resident_mb()
    reset_peak(setting.device)
    decode(str(exp), str(setting.corpus / "test"), str(exp / "decode"), overrides=overrides, **how)
    done = read_json(exp / "decode" / "decode.json")
    return {
        "step_s": done["wall_s"] / (done["audio_s"] / 60),
        "steps": done["audio_s"] / 60,
        "unit": "minute of speech",
        "utterances": done["utterances"],
        "audio_s": done["audio_s"],
        "trainable": read_json(exp / "adapter" / META)["trainable"]["total"],
        "losses": [],
        "finite": True,
        "peak_mb": peak_mb(setting.device),
        "resident_mb": before_mb,
    }
