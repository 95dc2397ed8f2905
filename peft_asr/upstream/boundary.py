"""Frozen boundaries: the places of an encoder below which nothing trains, and their names."""

from peft_asr.errors import UserError

# Where the trained part begins. Layer K (0 .. L-1) means: the input of layer K is still frozen; L means: all is.
AUDIO, CONV, FRONTEND = -3, -2, -1

_LOW = {"audio": AUDIO, "conv": CONV, "frontend": FRONTEND}


def boundary_name(boundary: int, layers: int) -> str:
    """``audio``, ``conv``, ``frontend``, ``layer:K`` or ``all``."""
    if boundary < 0:
        return next(name for name, value in _LOW.items() if value == boundary)
    return "all" if boundary >= layers else f"layer:{boundary}"


def parse_boundary(name: str, layers: int, option: str = "--dump") -> int:
    """The boundary of that name, in an encoder of so many layers.

    Raises:
        UserError: no such boundary, with what is allowed for ``option``.
    """
    kind, _, number = name.partition(":")
    if name in _LOW:
        return _LOW[name]
    if name == "all":
        return layers
    if kind == "layer" and number.isdigit() and int(number) < layers:
        return int(number)
    known = f", layer:0 to layer:{layers - 1}" if layers else ""
    raise UserError(f"{option} {name}: there is no such boundary; allowed: conv, frontend{known}, all")
