"""Language tokens (task asr_lid) beside a beam search.

The language is the one that greedy reading gives. The search is for the text alone: before it, the probability of every
language token is added to that of the blank, so that a language is neither a unit for the LM nor a word.
"""

import numpy as np

FIRST = 2  # language tokens follow <blank> and <unk>
_IMPOSSIBLE = -1e30


def without_languages(log_probs: np.ndarray, languages: int) -> np.ndarray:
    """(T, V) -> (T, V) of the same total, with nothing left for the tokens 2 to 2 + languages."""
    if languages == 0:
        return log_probs
    columns = slice(FIRST, FIRST + languages)
    folded = log_probs.copy()
    folded[:, 0] = np.logaddexp(log_probs[:, 0], np.logaddexp.reduce(log_probs[:, columns], axis=1))
    folded[:, columns] = _IMPOSSIBLE
    return folded
