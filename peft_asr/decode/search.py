"""From a beam search's finds to hypotheses."""

from collections import deque
from collections.abc import Iterable, Iterator

from peft_asr.decode.beam import Found
from peft_asr.decode.forked import Forked
from peft_asr.decode.recogniser import Hypothesis, Output
from peft_asr.tasks import Task
from peft_asr.text.tokenizer import SPACE


def search_all(
    forked: Forked, task: Task, outputs: Iterable[tuple[str, Output]]
) -> Iterator[tuple[str, list[Hypothesis]]]:
    """(utterance, its hypotheses, best first) for each (utterance, output), in the same order.

    Args:
        forked: of a ``BeamSearch``.
    """
    pending: deque[tuple[str, str | None]] = deque()

    def arrays():
        for utt, output in outputs:
            pending.append((utt, output.lang))
            yield output.log_probs

    for found in forked.map(arrays()):
        utt, lang = pending.popleft()
        yield utt, different(hypothesis(task, one, lang) for one in found)


def hypothesis(task: Task, found: Found, lang: str | None) -> Hypothesis:
    """A find as text; the language was read before the search."""
    if found.words:
        space = "" if task.tokenizer.type == "char" and SPACE not in task.tokenizer.tokens else " "
        text = space.join(found.words)
    else:
        text = task.read(found.ids).text
    return Hypothesis(text, found.score, lang, found.am_score, found.lm_score)


def different(hypotheses: Iterable[Hypothesis]) -> list[Hypothesis]:
    """Of those with the same text, the first: other tokens may spell the same."""
    kept: dict[str, Hypothesis] = {}
    for one in hypotheses:
        kept.setdefault(one.text, one)
    return list(kept.values())
