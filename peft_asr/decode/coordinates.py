"""Coordinate search over a grid: one weight at a time, the others held, until none moves."""

from collections.abc import Callable, Mapping

from peft_asr.config import DecodeConfig
from peft_asr.errors import UserError
from peft_asr.tasks import Task
from peft_asr.text.tokenizer import SPACE

# LM scores are log10 probabilities: a weight of 2.3 is one of 1 for natural logarithms.
TOKEN_GRID = {
    "lm_weight": [0.0, 0.25, 0.5, 0.75, 1.0, 1.5, 2.0, 3.0],
    "sil_score": [-2.0, -1.0, 0.0, 1.0, 2.0],
}
WORD_GRID = {
    "lm_weight": [0.0, 0.5, 1.0, 1.5, 2.0, 3.0, 4.0],
    "word_score": [-4.0, -2.0, -1.0, 0.0, 1.0, 2.0, 4.0],
}


def read_axes(grid: Mapping[str, str | None], options: DecodeConfig, task: Task) -> dict[str, list[float]]:
    """The weights that there are with these options, and the values to try.

    Raises:
        UserError: values for a weight that there is not, or that are no numbers.
    """
    axes = dict(WORD_GRID if options.lexicon else TOKEN_GRID)
    if SPACE not in task.tokenizer.tokens:
        axes.pop("sil_score", None)
    for name, values in grid.items():
        if values is None:
            continue
        if name not in axes:
            raise UserError(
                f"--{name}s: this search has no decode.{name}; it has {' and '.join(axes)} "
                "(word_score needs --lexicon, sil_score tokens with <space> and no lexicon)"
            )
        try:
            axes[name] = sorted({float(value) for value in values.split()})
        except ValueError as err:
            raise UserError(f"--{name}s '{values}': {err}; give numbers between blanks") from err
        if not axes[name]:
            raise UserError(f"--{name}s is empty; give numbers between blanks")
    return axes


def coordinate_search(
    rate: Callable[[dict[str, float]], float],
    axes: Mapping[str, list[float]],
    start: dict[str, float],
    say: Callable[[str], None],
) -> tuple[dict[str, float], list[dict[str, float]]]:
    """Go to the best value of each weight in turn, until a whole round changes none.

    Of equal rates the present point wins, then the weights nearest to 0. No point is evaluated twice.

    Args:
        rate: of a point; lower is better.
        start: need not be on the grid.
        say: gets a line for each evaluation.

    Returns:
        The best point, and a row for each evaluation: the point, its ``rate``, the ``best`` so far.
    """
    table: list[dict[str, float]] = []
    tried: dict[tuple, float] = {}

    def evaluated(point: dict[str, float]) -> float:
        key = tuple(point.values())
        if key not in tried:
            tried[key] = rate(point)
            table.append({**point, "rate": tried[key], "best": min(tried.values())})
            say("  ".join([*(f"{name} {value:5.2f}" for name, value in point.items()), f"{tried[key]:6.2f}"]))
        return tried[key]

    point = dict(start)
    while True:
        before = dict(point)
        evaluated(point)
        for name, values in axes.items():
            others = [{**point, name: value} for value in sorted(values, key=abs)]
            point = min([point, *others], key=evaluated)
        if point == before:
            return point, table
