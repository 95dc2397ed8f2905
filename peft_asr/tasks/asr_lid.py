"""``asr_lid``: language and transcript in one output, as in ML-SUPERB's joint track."""

from peft_asr.tasks.ctc import CtcTask
from peft_asr.tasks.languages import LanguageTask
from peft_asr.tasks.task import Reading


class AsrLidTask(LanguageTask, CtcTask):
    """CTC on the language's token followed by the tokens of the transcript; the two are scored apart."""

    name = "asr_lid"
    metrics = ("cer", "acc")

    def labels(self, text: str, lang: str | None) -> list[int]:
        """The language's token, then the transcript's."""
        return [self.tokenizer.language_id(lang), *self.tokenizer.encode(text)]

    def unknown(self, text: str, lang: str | None) -> list[str]:
        """Characters and a language without a token."""
        return [*self.tokenizer.unknown(text), *self.unknown_language(lang)]

    def reference(self, text: str, lang: str | None) -> Reading:
        """Transcript and language."""
        return Reading(text, lang)

    def read(self, ids: list[int]) -> Reading:
        """The text without language tokens, and the first of these; none, if none was emitted."""
        return Reading(self.tokenizer.decode(ids), self.heard(ids))
