"""Interpolated Kneser-Ney from the back-off form that kaldingram writes.

In the back-off form (SRILM's ``-ukndiscount``) a unit seen after a context has its discounted share f(w | h), and what
the discounts took goes to the units that were not seen. Where every unit was seen it goes to nobody, and the context
sums to less than 1, as do longer ones that back off to it (characters of 250 sentences read aloud, order 5: 1,373 of
14,338 contexts, down to 0.93; strings of digits, order 5: nearly all, to 0.88). Interpolated, it goes to all units,
by the distribution of the shorter context (Chen and Goodman, 1999), and every context sums to 1:

    p(w | h) = f(w | h) + bow(h) p(w | h without its first unit),    bow(h) = 1 - sum over w of f(w | h)
"""

import math
import os
from collections import defaultdict

from peft_asr.files import write_text
from peft_asr.lm import arpa

_NEVER = -99.0  # log10 probability of what is never predicted, as <s>

Context = tuple[str, ...]


def interpolate(path: str | os.PathLike) -> None:
    """Rewrite an ARPA file of the back-off form, unpruned, in the interpolated one.

    Raises:
        UserError: it is no whole ARPA file.
    """
    orders: list[dict[Context, dict[str, float]]] = []
    for order, _, fields in arpa.entries(path):
        while len(orders) < order:
            orders.append(defaultdict(dict))
        *context, unit = fields[1].split(" ")
        orders[-1][tuple(context)][unit] = 10.0 ** float(fields[0])
    backoffs: dict[Context, float] = {}
    for lower, upper in zip(orders, orders[1:], strict=False):
        for context, shares in upper.items():
            below = lower[context[1:]]
            left = max(1.0 - sum(shares.values()), 0.0)
            shares.update({unit: share + left * below[unit] for unit, share in shares.items()})
            backoffs[context] = left
    write_text(path, _text(orders, backoffs))


def _text(orders: list[dict[Context, dict[str, float]]], backoffs: dict[Context, float]) -> str:
    lines = ["\\data\\"]
    lines += [f"ngram {n}={sum(map(len, contexts.values()))}" for n, contexts in enumerate(orders, start=1)]
    for n, contexts in enumerate(orders, start=1):
        lines += ["", f"\\{n}-grams:"]
        for context, seen in contexts.items():
            for unit, probability in seen.items():
                ngram = (*context, unit)
                line = f"{_log10(probability):.7f}\t{' '.join(ngram)}"
                lines.append(f"{line}\t{_log10(backoffs[ngram]):.7f}" if ngram in backoffs else line)
    return "\n".join([*lines, "", "\\end\\", ""])


def _log10(probability: float) -> float:
    return max(math.log10(probability), _NEVER) if probability > 0.0 else _NEVER
