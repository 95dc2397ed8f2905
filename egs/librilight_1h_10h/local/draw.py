"""Drawing hours of speech by speaker: the same seed draws the same utterances, another seed others."""

import random
import re
from collections.abc import Callable, Mapping, Sequence

from peft_asr.errors import UserError

TOLERANCE_S = 2.0  # a draw holds at most what was asked for, and at most so much less
_HOURS = re.compile(r"(\d+\.?\d*|\.\d+)(min|h)?")


def parse_hours(text: str, extra: str = "") -> float:
    """``10min``, ``1h``, ``2.5`` (hours) -> seconds.

    Args:
        text: what was given to --hours.
        extra: other allowed words, for the message.

    Raises:
        UserError: anything else, or nothing at all.
    """
    match = _HOURS.fullmatch(text)
    if not match or float(match[1]) == 0:
        raise UserError(f"--hours takes a duration such as 10min, 1h or 2.5 (hours){extra}; got '{text}'")
    return float(match[1]) * (60.0 if match[2] == "min" else 3600.0)


def shuffled(speakers: Mapping[str, Sequence[str]], seed: int) -> dict[str, list[str]]:
    """The speakers in a random order, and of each the utterances in a random order."""
    rng = random.Random(seed)
    names = sorted(speakers)
    rng.shuffle(names)
    return {name: rng.sample(sorted(speakers[name]), len(speakers[name])) for name in names}


def alternating(speakers: dict[str, list[str]], gender: Mapping[str, str]) -> dict[str, list[str]]:
    """The same speakers, women and men in turn as long as there are both, those of unknown gender last."""
    groups = [[name for name in speakers if gender.get(name) == one] for one in ("F", "M")]
    both = min(map(len, groups))
    order = [name for pair in zip(groups[0], groups[1], strict=False) for name in pair]
    order += groups[0][both:] + groups[1][both:]
    order += [name for name in speakers if gender.get(name) not in ("F", "M")]
    return {name: speakers[name] for name in order}


def draw(
    speakers: Mapping[str, Sequence[str]],
    seconds: Callable[[str], float | None],
    target_s: float,
    share_s: float,
) -> tuple[list[str], float]:
    """Take utterances until the target is reached, each speaker's up to a share; then on with further shares.

    Args:
        speakers: speaker -> utterances, in the order in which they are taken.
        seconds: length of an utterance; None where it cannot be told, and the utterance is passed over. Asked for
            no more utterances than are needed.
        target_s: what is asked for.
        share_s: what one speaker gives in a round.

    Returns:
        The utterances drawn and their seconds: never more than ``target_s``. They are at most ``TOLERANCE_S`` less as
        long as what is left has utterances that are short enough.
    """
    drawn: list[str] = []
    total = 0.0
    given = dict.fromkeys(speakers, 0.0)
    left = {name: list(utterances) for name, utterances in speakers.items()}
    limit_s = share_s
    while any(left.values()):
        before = len(drawn)
        for name in speakers:
            rest = []
            for place, utterance in enumerate(left[name]):
                if target_s - total <= TOLERANCE_S:
                    return drawn, total
                length_s = seconds(utterance)
                if length_s is None:
                    continue
                if given[name] + length_s > limit_s:
                    rest += left[name][place:]
                    break
                if total + length_s > target_s:
                    rest.append(utterance)
                    continue
                drawn.append(utterance)
                total += length_s
                given[name] += length_s
            left[name] = rest
        if len(drawn) == before and limit_s >= target_s:
            break
        limit_s += share_s
    return drawn, total
