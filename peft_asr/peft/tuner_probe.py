"""What a tuner of the installed huggingface/peft does to a linear map, found out by trying it on one.

New versions bring new tuners and change old ones, so nothing here is a list of names.
"""

import functools
import json
from collections.abc import Iterator
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from peft_asr.peft.tuner_options import PEFT_ERRORS, config_fields, config_of, first_line
from peft_asr.peft.wrapped import put_in

# Widths of published models and below: options such as a block size may not divide the smaller ones.
WIDTHS = (64, 256, 768, 1024, 1280, 1920)
NAME = "probe"  # the adapter's name in these trials
SITE = "layers.0.q"
TOLERANCE = 1e-5


@dataclass(frozen=True)
class Findings:
    """What is known of a tuner with certain options.

    Attributes:
        refused: why it cannot be used here; None when it can.
        needs_memory: it does not run on the meta device, so a skeleton gets it by way of real (random) maps.
        identity: it leaves the map as it is at the start, within 1e-5.
        noisy: in training mode, two runs differ.
        unmergeable: why it stays beside the map after merging; None when it dissolves.
        kept: paths below the wrapped map of tensors that do not train and that chance or the pre-trained weight
            decides, with ``probe`` for the adapter's name.
    """

    refused: str | None
    needs_memory: bool = False
    identity: bool = False
    noisy: bool = False
    unmergeable: str | None = None
    kept: tuple[str, ...] = ()


class Refused(Exception):
    """The tuner cannot be used; the message says why."""


def probe(tuner: str, values: dict) -> Findings:
    """Try ``tuner`` with these options of its config on a random linear map."""
    return _probe(tuner, json.dumps(values, sort_keys=True))


def linear_tree(linears: dict[str, nn.Module], device: str) -> nn.Module:
    """New linear maps of the same shapes under the same dotted names, in the same order."""
    root = nn.Module()
    for site, linear in linears.items():
        parent = root
        *above, last = site.split(".")
        for name in above:
            if name not in parent._modules:
                parent.add_module(name, nn.Module())
            parent = parent._modules[name]
        bias = linear.bias is not None
        parent.add_module(last, nn.Linear(linear.in_features, linear.out_features, bias, device=device))
    return root


def trainable_shapes(model: nn.Module) -> dict[str, tuple[int, ...]]:
    """Name -> shape of what requires a gradient, a tensor that several modules share under its first name."""
    return {name: tuple(p.shape) for name, p in model.named_parameters() if p.requires_grad}


def fixed_tensors(wrapped: nn.Module, name: str) -> Iterator[tuple[str, Tensor]]:
    """(path, tensor) of what adapter ``name`` computes with and does not train.

    That is: buffers, and what peft holds in dictionaries by adapter name, plain ones and some that it hides from
    ``named_buffers``.
    """
    from peft.tuners._buffer_dict import BufferDict

    for path, buffer in wrapped.named_buffers():
        if not path.startswith("base_layer."):
            yield path, buffer
    for attribute, value in vars(wrapped).items():
        if isinstance(value, dict | BufferDict) and name in value and isinstance(value[name], Tensor):
            yield f"{attribute}.{name}", value[name]


@functools.cache
def _probe(tuner: str, values_json: str) -> Findings:
    values = json.loads(values_json)
    with torch.random.fork_rng(devices=[]), torch.enable_grad():
        try:
            width = _smallest_width(tuner, values)
            return _try(tuner, values, width)
        except Refused as err:
            return Findings(refused=str(err))


def _smallest_width(tuner: str, values: dict) -> int:
    if "target_modules" not in config_fields(tuner):
        raise Refused("it is not put on linear maps")
    error = None
    for width in WIDTHS:
        try:
            _inject(tuner, values, width, "cpu")
        except PEFT_ERRORS as err:
            error = error or err
        else:
            return width
    raise Refused(f"peft cannot put it on a linear map: {first_line(error)}")


def _try(tuner: str, values: dict, width: int) -> Findings:
    torch.manual_seed(0)
    model = _inject(tuner, values, width, "cpu")
    kept, needs_memory = _compare(tuner, values, width, trainable_shapes(model))
    wrapped = model.get_submodule(SITE).eval()
    x = torch.randn(2, 6, width)
    try:
        identity = _distance(wrapped(x), wrapped.get_base_layer()(x)) <= TOLERANCE
        _check_training(wrapped, x)
        noisy = _distance(wrapped.train()(x), wrapped(x)) > 0
    except PEFT_ERRORS as err:
        raise Refused(f"it does not run as a linear map does: {first_line(err)}") from err
    return Findings(None, needs_memory, identity, noisy, _try_merging(wrapped.eval(), x), kept)


def _compare(tuner: str, values: dict, width: int, shapes: dict) -> tuple[tuple[str, ...], bool]:
    """More injections, of other chance and other weights, tell what is no constant of the options.

    Returns:
        The paths of fixed tensors that differ, and whether the meta device is not enough.
    """
    if not shapes:
        raise Refused("it trains nothing on a linear map")
    fixed = []
    for seed in (1, 2):
        torch.manual_seed(seed)
        model = _inject(tuner, values, width, "cpu")
        if trainable_shapes(model) != shapes:
            raise Refused("what it trains depends on the upstream's weights")
        fixed.append(dict(fixed_tensors(model.get_submodule(SITE), NAME)))
    first, second = fixed
    kept = tuple(path for path in first if not torch.equal(first[path], second[path]))
    try:
        return kept, trainable_shapes(_inject(tuner, values, width, "meta")) != shapes
    except PEFT_ERRORS:
        return kept, True


def _check_training(wrapped: nn.Module, x: Tensor) -> None:
    """Moved off its start it must train every tensor, and treat every frame for itself."""
    trained = [(name, p) for name, p in wrapped.named_parameters() if p.requires_grad]
    with torch.no_grad():
        for _, parameter in trained:
            parameter.add_(0.05 * torch.randn_like(parameter))
    y = wrapped(x)
    if _distance(wrapped(x[:1, :3]), y[:1, :3]) > TOLERANCE * float(y.detach().abs().max()):
        raise Refused("what it gives for one frame depends on the other frames and utterances")
    y.square().sum().backward()
    for name, parameter in trained:
        if parameter.grad is None or not parameter.grad.isfinite().all() or not parameter.grad.any():
            raise Refused(f"no finite gradient reaches {name}")


@torch.no_grad()
def _try_merging(wrapped: nn.Module, x: Tensor) -> str | None:
    expected = wrapped(x)
    try:
        wrapped.merge(safe_merge=True)
        merged = wrapped.get_base_layer()(x)
    except PEFT_ERRORS as err:
        return f"peft cannot merge it: {first_line(err)}"
    if _distance(merged, expected) > 10 * TOLERANCE * float(expected.abs().max()):
        return "merged, it would not give what it gives unmerged"
    return None


def _inject(tuner: str, values: dict, width: int, device: str) -> nn.Module:
    """A model of one linear map with the tuner on it; the map's own tensors must stay as they were."""
    model = linear_tree({SITE: nn.Linear(width, width, device="meta")}, device)
    before = {name: p.detach().clone() for name, p in model.named_parameters()}
    put_in(model, config_of(tuner, values, [SITE]), NAME)
    base = model.get_submodule(SITE).get_base_layer()
    if device == "cpu" and not all(torch.equal(p, before[f"{SITE}.{n}"]) for n, p in base.named_parameters()):
        raise Refused("with these options it rewrites the pre-trained weights")
    return model


def _distance(a: Tensor, b: Tensor) -> float:
    return float((a - b).detach().abs().max())
