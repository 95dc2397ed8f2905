"""References of a phone recogniser: words through the token list's lexicon."""

import logging
from collections.abc import Sequence
from pathlib import Path

from peft_asr.errors import UserError
from peft_asr.score.corpus import Pair
from peft_asr.text.tokenizer import Tokenizer

log = logging.getLogger(__name__)


def to_phones(pairs: Sequence[Pair], tokenizer: Tokenizer, ref_path: str) -> tuple[list[Pair], list[str]]:
    """References as phones between blanks; hypotheses are phones already.

    Args:
        pairs: P pairs with words as references.
        tokenizer: type phone. What it does with an unknown word it does here and in training alike.
        ref_path: for messages.

    Returns:
        The pairs that can be scored, and the ids of those left out: a word of theirs is not in the lexicon.

    Raises:
        UserError: the tokens are no phones, or no utterance is left.
    """
    if tokenizer.type != "phone":
        raise UserError(
            f"--task pr scores phones, and the token list is of type {tokenizer.type}; check --token_dir"
        )
    kept, left_out = [], []
    for pair in pairs:
        phones = tokenizer.phones(pair.ref)
        if phones is None:
            left_out.append(pair.utt_id)
        else:
            kept.append(Pair(pair.utt_id, pair.speaker, " ".join(phones), pair.hyp, pair.lang))
    if not kept:
        raise UserError(f"{ref_path}: every one of {len(pairs)} utterances has a word that the lexicon lacks")
    if left_out:
        log.warning(
            "%s: %d of %d utterances have a word that the lexicon lacks and are left out: %s",
            ref_path, len(left_out), len(pairs), " ".join(left_out[:5]) + (" ..." if left_out[5:] else ""),
        )  # fmt: skip
    return kept, left_out


def load_tokenizer(token_dir: str | None, task: str) -> Tokenizer:
    """The token list that a task's references go through.

    Raises:
        UserError: none is named, or there is none.
    """
    if token_dir is None or not Path(token_dir).is_dir():
        raise UserError(f"--task {task} needs --token_dir, the token list of stage 2; got '{token_dir}'")
    return Tokenizer.load(token_dir)
