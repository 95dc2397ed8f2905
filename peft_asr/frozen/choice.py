"""At which boundary a run can start from a dump, and whether it can at all."""

from peft_asr.config import Config
from peft_asr.errors import UserError
from peft_asr.frozen.place import Model, dtype_of
from peft_asr.upstream.boundary import CONV, boundary_name, parse_boundary

FORMS = "none, auto, conv, frontend, layer:K, all"


def check(config: Config) -> None:
    """Options that cannot be are refused before anything is loaded.

    Raises:
        UserError: ``data.dump`` or ``data.dump_dtype`` is none of what is allowed.
    """
    name = config.data.dump
    kind, _, number = name.partition(":")
    if name not in ("none", "auto", "conv", "frontend", "all") and not (kind == "layer" and number.isdigit()):
        raise UserError(f"data.dump={name} (run.sh: --dump); allowed: {FORMS}")
    dtype_of(config)


def candidates(config: Config, model: Model) -> tuple[list[str], str]:
    """Names of the boundaries to dump at, the best first, and, where there is none, the reason.

    ``auto`` may name several: where all hidden states would take too much room, ``layer:0`` still spares the frontend.

    Raises:
        UserError: the boundary that was asked for does not suit the method, or no dump does.
    """
    asked = config.data.dump
    if asked == "none":
        return [], "--dump none"
    reason = _why_not(config, model)
    if reason:
        if asked != "auto":
            raise UserError(f"--dump {asked}: {reason}; allowed: none, auto")
        return [], reason
    encoder = model.encoder
    layers, highest = len(encoder.layers), encoder.dump_boundary(masks(config))
    if asked == "auto":
        lower = (
            [encoder.first_state if encoder.readout.needs_all_states else 0] if highest == layers > 0 else []
        )
        return [boundary_name(place, layers) for place in (highest, *lower)], ""
    place, allowed = parse_boundary(asked, layers), _allowed(model, highest)
    names = ", ".join(boundary_name(i, layers) for i in allowed)
    if place > highest:
        raise UserError(
            f"--dump {asked}: with --peft {config.peft.name}{' and masking' if masks(config) else ''} training changes "
            f"what lies above {boundary_name(highest, layers)}, so that a dump can stand there or lower; allowed: "
            f"{names}, auto, none"
        )
    if place not in allowed:
        raise UserError(
            f"--dump {asked}: with --peft {config.peft.name} the head reads all hidden states, of which a dump there "
            f"has not all; allowed: {names}, auto, none"
        )
    return [asked], ""


def masks(config: Config) -> bool:
    """Whether training masks features."""
    return config.train.mask.time_prob > 0 or config.train.mask.feature_prob > 0


def _allowed(model: Model, highest: int) -> list[int]:
    encoder = model.encoder
    places = list(range(CONV, highest + 1)) if len(encoder.layers) else [highest]
    if encoder.readout.needs_all_states and len(encoder.layers):
        places = [place for place in places if place <= encoder.first_state or place == len(encoder.layers)]
    return places


def _why_not(config: Config, model: Model) -> str:
    if model.encoder.dump_boundary(masks(config)) < CONV:
        return f"--peft {config.peft.name} trains the upstream from its first convolution on, so nothing is frozen"
    if config.upstream.padding != "exact":
        return "with upstream.padding=s3prl an utterance's activations depend on its batch, so they cannot be kept"
    if config.data.speed_perturb:
        return "data.speed_perturb changes the waveforms in every epoch, so training starts from audio"
    return ""
