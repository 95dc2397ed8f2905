"""The end of a run: the mean of the best checkpoints becomes the adapter."""

import logging
import os
import shutil
import statistics

import torch

from peft_asr.config import Config
from peft_asr.files import write_json
from peft_asr.train.experiment import Experiment
from peft_asr.train.keeper import Keeper
from peft_asr.train.parts import Parts
from peft_asr.train.precision import peak_bytes
from peft_asr.train.progress import Progress
from peft_asr.train.ranks import ALONE, Ranks
from peft_asr.train.stop import Interrupted, StopSignals
from peft_asr.train.validate import METRICS, cost, metrics_text, validate

logger = logging.getLogger(__name__)


def finish(
    config: Config,
    experiment: Experiment,
    parts: Parts,
    keeper: Keeper,
    progress: Progress,
    device: torch.device,
    dtype: torch.dtype | None,
    stop: StopSignals,
    ranks: Ranks = ALONE,
) -> None:
    """Choose the final weights, write summary.json, and let ``adapter/`` appear last, whole.

    Interrupted here, a run does this part again. Running it twice gives the same bytes.
    """
    metric = config.train.metric
    best = progress.best[0]
    steps = [b.step for b in progress.best] if config.train.average_best else [best.step]
    metrics = _metrics_at(progress, best.step)
    best_value = metrics[metric]
    if len(steps) > 1:
        parts.model.load_trainable_state(keeper.mean(steps))
        result = validate(parts.model, parts.task, parts.valid_loader, device, dtype, stop, ranks)
        if result is None:
            raise Interrupted(
                stop.requested,
                "stopped while validating the mean of the best checkpoints; run the same command again",
            )
        averaged = result.metrics
        logger.info(
            "mean of steps %s: dev loss %.4f, %s", sorted(steps), averaged["loss"], metrics_text(averaged)
        )
        if cost(averaged, metric) <= best.value:
            metrics = averaged
        else:
            logger.info(
                "the mean is worse on the dev set than step %d alone (%s %.4f), which is kept",
                best.step,
                metric,
                metrics[metric],
            )
            steps = [best.step]
    if len(steps) == 1:
        parts.model.load_trainable_state(keeper.mean(steps))
    ranks.barrier()  # all have read their checkpoints
    if not ranks.leader:
        return

    final = experiment.checkpoints / "final"
    shutil.rmtree(final, ignore_errors=True)
    parts.save(final, progress.step, metrics)
    size = sum(path.stat().st_size for path in final.rglob("*") if path.is_file())
    rows = list(parts.model.count_table())
    summary = {
        "steps": progress.step,
        "epochs": progress.current_epoch,
        "wall_s": round(progress.wall_s, 3),
        "trainable": sum(row["trainable"] for row in rows),
        "trainable_by_group": {
            group: sum(p.numel() for _, p in named) for group, named in parts.model.parameter_groups().items()
        },
        "total": sum(row["total"] for row in rows),
        "adapter_bytes": size,
        "metric": metric,
        "best_step": best.step,
        "best_value": best_value,
        "averaged_steps": sorted(steps),
        "dev": metrics,
        "step_s": statistics.median(progress.step_s) if progress.step_s else None,
        "speech_per_s": round(progress.speech_per_s, 3),
        "wait_share": round(progress.wait_s / progress.train_s, 5) if progress.train_s else None,
        "start": parts.data.get("start", "audio"),
        "peak_bytes": peak_bytes(device),
        "device": device.type,
        "processes": ranks.world,
        "dtype": str(dtype or torch.float32).removeprefix("torch."),
    }
    write_json(experiment.summary, summary)
    os.rename(final, experiment.adapter)
    logger.info(
        "done: %s (%d bytes), dev loss %.4f, %s",
        experiment.adapter,
        size,
        metrics["loss"],
        metrics_text(metrics),
    )


def _metrics_at(progress: Progress, step: int) -> dict[str, float]:
    record = next(r for r in progress.history if r["step"] == step)
    return {"loss": record["valid_loss"], **{name: record[name] for name in METRICS if name in record}}
