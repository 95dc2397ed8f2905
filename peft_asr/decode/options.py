"""The options of a decoding: from where they come, and whether they fit together, the task and the tokens."""

from collections.abc import Sequence
from dataclasses import asdict, fields, replace

from peft_asr.config import DecodeConfig, load_config, read_yaml
from peft_asr.errors import UserError, nearest
from peft_asr.lm import arpa
from peft_asr.lm.lexicon import text_tokens
from peft_asr.tasks import Task
from peft_asr.text.tokenizer import SPACE

SEARCHES = ("auto", "greedy", "beam")
# They do not change what is found.
SPEED = ("batch_s", "num_workers")
DTYPES = ("auto", "float32", "bfloat16")


def decode_options(
    base: DecodeConfig, files: Sequence[str] = (), overrides: Sequence[str] = (), **words
) -> DecodeConfig:
    """Options of the experiment, then of YAML files with the section ``decode``, then ``decode.key=value``, then words.

    Args:
        base: the experiment's.
        words: fields of ``DecodeConfig``; None leaves them. ``lm="none"`` is no LM.

    Raises:
        UserError: another section than ``decode``, or as ``load_config``.
    """
    parts = [("the experiment", {"decode": asdict(base)})]
    for path in files:
        values = read_yaml(path)
        parts.append((path, values))
        for section in values if isinstance(values, dict) else ():
            if section != "decode":
                raise UserError(
                    f"{path}: a decoding configuration has one section, 'decode', not '{section}'"
                )
    for item in overrides:
        if not item.startswith("decode."):
            raise UserError(f"--set {item}: decoding takes decode.KEY=VALUE, e.g. decode.beam=20")
    options = load_config([], overrides, parts).decode
    options = replace(options, **{key: value for key, value in words.items() if value is not None})
    if options.lm in ("none", ""):
        options = replace(options, lm=None)
    if options.search == "auto":
        options = replace(options, search="beam" if options.lm or options.lexicon else "greedy")
    return options


def check_options(options: DecodeConfig, task: Task) -> None:
    """Refuse options that do not go together, or not with this task; ``search`` is ``greedy`` or ``beam`` by now.

    Raises:
        UserError: which one, and what would do.
    """
    check_search(options)
    if options.search == "greedy":
        return
    if not task.ctc or not text_tokens(task.tokenizer):
        raise UserError(
            f"the task {task.name} answers with one label an utterance, so there is nothing to search: "
            "decode.search=greedy, --lm none"
        )
    if task.name == "pr" and options.lexicon:
        raise UserError(
            "the task pr answers with phones, a search with --lexicon with words; leave --lexicon out"
        )
    if options.sil_score and SPACE not in task.tokenizer.tokens:
        raise UserError(
            f"decode.sil_score={options.sil_score:g} is for frames of {SPACE}, which the "
            f"{task.tokenizer.type} tokens do not have; leave it out"
        )
    for option, path in (("--lm", options.lm), ("--lexicon", options.lexicon)):
        if path:
            arpa.exists(path, option)


def check_search(options: DecodeConfig) -> None:
    """The part of ``check_options`` that needs neither the tokens nor the files.

    Raises:
        UserError: which option, and what would do.
    """
    if options.search not in SEARCHES:
        raise UserError(
            f"unknown decode.search '{options.search}'{nearest(options.search, SEARCHES)}; "
            f"allowed: {', '.join(SEARCHES)}"
        )
    if options.dtype not in DTYPES:
        raise UserError(
            f"unknown decode.dtype '{options.dtype}'{nearest(options.dtype, DTYPES)}; allowed: {', '.join(DTYPES)}"
        )
    if options.search == "greedy":
        _check_greedy(options)
        return
    for name, least in (("beam", 1), ("nbest", 1), ("beam_tokens", 0), ("beam_threshold", 0)):
        if not getattr(options, name) >= least:
            raise UserError(
                f"decode.{name}={getattr(options, name):g} is too small; allowed: {least} and more"
            )
    if options.nbest > options.beam:
        raise UserError(
            f"decode.nbest={options.nbest} is more than the decode.beam={options.beam} hypotheses that are kept; "
            "raise decode.beam or lower decode.nbest"
        )
    if options.lm_weight is not None and options.lm is None:
        raise UserError(
            f"decode.lm_weight={options.lm_weight:g} has no language model to weigh; give one with --lm FILE, or "
            "leave decode.lm_weight out"
        )
    if options.word_score and options.lexicon is None:
        raise UserError(
            f"decode.word_score={options.word_score:g} goes with a lexicon, without which there are no words; give "
            "--lexicon FILE, or use decode.sil_score"
        )


def _check_greedy(options: DecodeConfig) -> None:
    for field in fields(DecodeConfig):
        value = getattr(options, field.name)
        if field.name not in ("search", "dtype", *SPEED) and value != field.default:
            raise UserError(
                f"decode.{field.name}={value} is an option of the beam search, and the search is greedy; give "
                f"decode.search=beam, or leave decode.{field.name} out"
            )
