"""``pr``: phone recognition with CTC, as in SUPERB."""

from peft_asr.errors import UserError
from peft_asr.tasks.ctc import CtcTask
from peft_asr.tasks.task import Reading


class PrTask(CtcTask):
    """The phones of the transcript's words, each in its first pronunciation, stress marks kept.

    SUPERB (Yang et al., 2021) has 74 classes: 71 phones with SIL and SPN, and pad, unk and eos. Here the lexicon says
    which phones there are, ``<blank>`` is its pad, and no eos ends the labels: 73 with the same phones.

    An utterance with a word outside a lexicon without SPN has no labels and is left out.

    Raises:
        UserError: the tokens are no phones.
    """

    name = "pr"
    metrics = ("per",)

    def __init__(self, tokenizer):
        if tokenizer.type != "phone":
            raise UserError(
                f"the task pr needs phones, and the tokens are of type {tokenizer.type}; make them with --token_type "
                "phone, and --lexicon FILE unless the transcripts are phones already"
            )
        super().__init__(tokenizer)

    def labels(self, text: str, lang: str | None) -> list[int] | None:
        """Ids of the phones; None where a word has none."""
        phones = self.tokenizer.phones(text)
        return None if phones is None else self.tokenizer.phone_ids(phones)

    def unknown(self, text: str, lang: str | None) -> list[str]:
        """Phones outside the list, where the transcript is phones; words are ``labels``' business."""
        return [] if self.tokenizer.lexicon is not None else self.tokenizer.unknown(text)

    def reference(self, text: str, lang: str | None) -> Reading:
        """The phones, between blanks."""
        return Reading(" ".join(self.tokenizer.phones(text) or []))
