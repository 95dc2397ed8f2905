"""The optimiser: one learning rate for the head, the method and the backbone, no decay of vectors."""

import logging
from collections.abc import Iterable

import torch
from torch import nn

from peft_asr.config import TrainConfig
from peft_asr.errors import UserError, nearest
from peft_asr.train.schedule import lr_scale

logger = logging.getLogger(__name__)

OPTIMIZERS = {"adam": torch.optim.Adam, "adamw": torch.optim.AdamW}


def check_parts(config: TrainConfig, trains: Iterable[str]) -> None:
    """Refuse a learning rate for a part that does not train.

    Raises:
        UserError: ``lr_parts`` names what is not among ``trains``.
    """
    allowed = sorted(set(trains))
    for part in config.lr_parts:
        if part not in allowed:
            raise UserError(
                f"train.lr_parts names '{part}'{nearest(part, allowed)}, of which nothing trains; allowed: "
                f"{', '.join(allowed)}"
            )


def build_optimizer(model: nn.Module, config: TrainConfig) -> torch.optim.Optimizer:
    """Adam or AdamW over ``model.parameter_groups()``, and over nothing else.

    Every group carries ``name`` (head, method, backbone, or a part in ``lr_parts``), ``peak_lr``, and ``names`` of its
    tensors. Weight decay applies to matrices and kernels only: biases, norms and scale vectors are never decayed. The
    fused kernel is used where there is one for the tensors' device and type.

    Raises:
        UserError: ``lr_parts`` names what does not train.
        RuntimeError: the parameters that train and those in the optimiser are not the same.
    """
    peaks = {"head": config.lr_head, "method": config.lr_method, "backbone": config.lr_backbone}
    labels = model.labels()
    check_parts(config, labels.values())
    groups = []
    for name, members in model.parameter_groups().items():
        usual = config.lr if peaks[name] is None else peaks[name]
        # One learning rate for each part that asks for its own, one for the rest.
        for part in [p for p in config.lr_parts if p in {labels[n] for n, _ in members}] + [None]:
            inside = [
                (n, p) for n, p in members if (labels[n] if labels[n] in config.lr_parts else None) == part
            ]
            title, peak = (name, usual) if part is None else (part, config.lr_parts[part])
            for decay in (config.weight_decay, 0.0) if config.weight_decay else (0.0,):
                chosen = [
                    (n, p) for n, p in inside if not config.weight_decay or (p.ndim >= 2) == (decay > 0)
                ]
                if chosen:
                    groups.append(_group(title, peak, decay, chosen))
    check_exactly_what_trains(model, groups)
    kind = OPTIMIZERS[config.optimizer]
    try:
        return kind(groups, betas=tuple(config.betas), fused=True)
    except RuntimeError as err:
        logger.info("the optimiser runs without its fused kernel: %s", err)
        return kind(groups, betas=tuple(config.betas))


def _group(name: str, peak: float, decay: float, members: list[tuple[str, nn.Parameter]]) -> dict:
    return {
        "params": [p for _, p in members],
        "names": [n for n, _ in members],
        "name": name,
        "peak_lr": peak,
        "lr": peak,
        "weight_decay": decay,
    }


def check_exactly_what_trains(model: nn.Module, groups: list[dict]) -> None:
    """Hold the optimiser's groups against ``requires_grad`` and against what a checkpoint would keep.

    Raises:
        RuntimeError: a parameter trains but is in no group or in no checkpoint, a group holds a frozen
            parameter or one that the model does not have, or nothing trains.
    """
    trains = {id(p): n for n, p in model.named_parameters() if p.requires_grad}
    grouped = {id(p): n for g in groups for p, n in zip(g["params"], g["names"], strict=True)}
    forgotten = sorted(trains[i] for i in trains.keys() - grouped.keys())
    alien = sorted(grouped[i] for i in grouped.keys() - trains.keys())
    if forgotten or alien or not trains:
        raise RuntimeError(
            f"the optimiser would not hold exactly what trains: left out {forgotten}, "
            f"frozen or unknown {alien}, {len(trains)} tensors train"
        )
    kept = {t.data_ptr() for t in model.trainable_state().values()}
    lost = sorted(n for n, p in model.named_parameters() if p.requires_grad and p.data_ptr() not in kept)
    if lost:
        raise RuntimeError(f"a checkpoint would lose these tensors that train: {lost}")


def set_learning_rates(
    optimizer: torch.optim.Optimizer, step: int, total_steps: int, config: TrainConfig
) -> None:
    """Give every group the learning rate of step ``step`` (counted from 0)."""
    scale = lr_scale(step, total_steps, config)
    for group in optimizer.param_groups:
        group["lr"] = group["peak_lr"] * scale


def learning_rates(optimizer: torch.optim.Optimizer) -> dict[str, float]:
    """The current learning rate of each kind of parameter: ``{"head": 1e-3, "method": 2e-3}``."""
    return {group["name"]: group["lr"] for group in optimizer.param_groups}


def named_parameters(optimizer: torch.optim.Optimizer) -> list[tuple[str, nn.Parameter]]:
    """Name and tensor of everything the optimiser holds, in its own order."""
    return [pair for g in optimizer.param_groups for pair in zip(g["names"], g["params"], strict=True)]
