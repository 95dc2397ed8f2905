"""``asr``: speech recognition with CTC."""

from peft_asr.tasks.ctc import CtcTask


class AsrTask(CtcTask):
    """The tokens of the transcript."""

    name = "asr"
    metrics = ("wer", "cer")
