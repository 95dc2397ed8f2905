"""What a language model's units are, and whether they are the ones that a search asks it for.

A search without a lexicon scores tokens, one with a lexicon words. KenLM takes any string and answers with the
probability of ``<unk>`` for those that it does not know, so that a model of other units is not noticed: decoding runs
through and the error rate is bad. A model of words even knows most letters, because they are words too.
"""

import mmap
import os
from collections.abc import Collection, Iterable

from peft_asr.errors import UserError
from peft_asr.lm.arpa import SPECIAL, is_kenlm_binary, unigrams
from peft_asr.lm.extra import need, quiet

# A token model may hold some symbols that are no tokens (a larger text than the training's), but not many.
_LEAST_SHARE = 0.9


def check_token_lm(path: str | os.PathLike, tokens: Collection[str]) -> list[str]:
    """Make sure that a model's units are tokens.

    Args:
        path: ARPA file (.gz too) or KenLM binary.
        tokens: those that the search can emit (no blank, no ``<unk>``, no languages).

    Returns:
        The tokens that the model does not know: the search will not emit them.

    Raises:
        UserError: fewer than 90 % of the model's units are tokens, or it does not know the blank between words.
    """
    units = Units(path)
    listed = units.listed
    share = 1.0 if listed is None else sum(unit in tokens for unit in listed) / max(len(listed), 1)
    unknown = [token for token in tokens if token not in units]
    if share < _LEAST_SHARE or "<space>" in unknown or len(unknown) == len(tokens):
        odd = next((u for u in listed or () if u not in tokens), None)
        shown = (
            f"{share:.0%} of its units are, and e.g. '{odd}' is not" if odd else f"it lacks '{unknown[0]}'"
        )
        raise UserError(
            f"the units of the language model {path} are not the {len(tokens)} tokens ({shown}); a model of words "
            "needs a lexicon (--lexicon), and 'peft-asr ngram --units token' makes a model of the tokens"
        )
    return unknown


def check_word_lm(path: str | os.PathLike, words: Collection[str], tokens: Collection[str]) -> list[str]:
    """Make sure that a model's units are words of the lexicon.

    Returns:
        The words that the model does not know: it scores them as its ``<unk>``.

    Raises:
        UserError: the model's units are the tokens, or it knows no word of the lexicon.
    """
    units = Units(path)
    unknown = [word for word in words if word not in units]
    listed = units.listed
    of_tokens = all(token in units for token in tokens if len(token) > 1)
    if listed is not None:
        of_tokens = sum(unit in tokens for unit in listed) >= _LEAST_SHARE * len(listed)
    if len(unknown) == len(words) or (of_tokens and 2 * len(unknown) > len(words)):
        example = f"it does not know '{unknown[0]}'"
        if listed:
            example += f", and its units are like '{listed[0]}'"
        raise UserError(
            f"the units of the language model {path} are not the words of the lexicon ({len(unknown)} of "
            f"{len(words)} are unknown: {example}); 'peft-asr ngram --units word' makes a model of words, "
            "and a model of tokens is used without a lexicon"
        )
    return unknown


class Units:
    """The units of a model: ``"a" in units``, and ``units.listed``, which is None for a binary without its words."""

    def __init__(self, path: str | os.PathLike):
        self._model = None
        if is_kenlm_binary(path):
            listed = _words_of_binary(path)
            if listed is None:
                kenlm = need("kenlm", f"the language model {path}")
                try:
                    with quiet():
                        self._model = kenlm.Model(str(path))
                except OSError as err:
                    reason = " ".join(str(err).split("Exception")[-1].split())
                    raise UserError(f"KenLM cannot read the language model {path}: {reason}") from err
        else:
            listed = unigrams(path)
        self.listed: list[str] | None = listed
        self._known = frozenset(listed or ())

    def __contains__(self, unit: str) -> bool:
        return unit in self._known if self._model is None else unit in self._model


def _words_of_binary(path: str | os.PathLike) -> list[str] | None:
    """The words that build_binary puts, each ended by a zero byte and ``<unk>`` first, at the end of the file."""
    with open(path, "rb") as handle, mmap.mmap(handle.fileno(), 0, access=mmap.ACCESS_READ) as content:
        start = max(content.rfind(b"<unk>\0"), content.rfind(b"<UNK>\0"))
        if start < 0 or content[-1:] != b"\0":
            return None
        return _units(content[start:-1].split(b"\0"))


def _units(words: Iterable[bytes]) -> list[str] | None:
    try:
        return [word for word in (raw.decode("utf-8") for raw in words) if word not in SPECIAL]
    except UnicodeDecodeError:
        return None
