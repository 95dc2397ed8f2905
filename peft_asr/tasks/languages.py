"""What the tasks with languages share."""

from peft_asr.errors import UserError
from peft_asr.tasks.task import Reading, Task
from peft_asr.text.tokenizer import language_token

FIRST = 2  # token of the first language, after <blank> and <unk>


class LanguageTask(Task):
    """Utterances have a language, and the token list has one token for each.

    A language of a validation or test set that the list lacks is ``<unk>``, so it can never be right.

    Raises:
        UserError: the token list has no languages.
    """

    languages = True

    def __init__(self, tokenizer):
        if not tokenizer.languages:
            raise UserError(
                f"the task {self.name} needs a token list with languages, and this one has none; make it with "
                f"peft-asr tokens --task {self.name} --utt2lang FILE (stage 2 with --task {self.name})"
            )
        super().__init__(tokenizer)

    @property
    def languages_at(self) -> slice:
        """Where the languages are among the classes."""
        return slice(FIRST, FIRST + len(self.tokenizer.languages))

    def unknown_language(self, lang: str | None) -> list[str]:
        """``[code]`` if the language is known and has no token."""
        return [] if lang is None or lang in self.tokenizer.languages else [language_token(lang)]

    def heard(self, ids: list[int]) -> str | None:
        """The first language among token ids."""
        return next((code for code in map(self.tokenizer.language, ids) if code is not None), None)


class LanguageIdTask(LanguageTask):
    """The language alone: one label an utterance."""

    name = "lid"
    metrics = ("acc",)

    def labels(self, text: str, lang: str | None) -> list[int]:
        """The language's token."""
        return [self.tokenizer.language_id(lang)]

    def unknown(self, text: str, lang: str | None) -> list[str]:
        """A language without a token."""
        return self.unknown_language(lang)

    def reference(self, text: str, lang: str | None) -> Reading:
        """The code as text and language."""
        return Reading(lang or "", lang)

    def read(self, ids: list[int]) -> Reading:
        """The first language among ids, as text and language."""
        return self.reference("", self.heard(ids))
