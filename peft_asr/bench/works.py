"""The works: our side, the opponent's, and the ratio to reach. Rows of the table in docs/benchmark.md."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from peft_asr.errors import UserError, nearest

OPPONENTS = ("own", "hf", "s3prl", "speechbrain", "espnet")  # own: full fine-tuning here


@dataclass(frozen=True)
class Side:
    """A name of ``sides.SIDES``, and the options it takes."""

    runner: str
    options: dict[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class Work:
    """What is compared.

    Attributes:
        name: as ``--work`` takes it.
        against: one of ``OPPONENTS``.
        what: our side, for the table.
        opponent: theirs, for the table.
        target: the ratio to reach; None: none is set.
        compares: one sentence.
        memory: the ratio is of peak memory, ours by theirs, and at most ``target``; else of time, theirs by ours, and
            at least ``target``.
        same_trainable: both sides train as many parameters.
        longer: so many times the steps, where a step of ours is short.
    """

    name: str
    against: str
    what: str
    opponent: str
    ours: Side
    theirs: Side
    target: float | None
    compares: str
    memory: bool = False
    same_trainable: bool = True
    longer: int = 1


_FP32, _BF16 = "float32", "bfloat16"
_FULL = Side("ours", {"peft": "full", "dtype": _BF16})
_DEFAULTS = "transformers + peft, defaults, {}"
_BEST = "transformers + peft at its best, bf16"


def _lora(dtype: str, dump: str = "none") -> Side:
    return Side("ours", {"peft": "lora", "dtype": dtype, "dump": dump})


def _hf(dtype: str, best: bool = False) -> Side:
    # Base weights stored in bfloat16 are the faster of the two ways that bfloat16 can be had.
    return Side("hf", {"best": best, "dtype": dtype, "half_weights": best})


def _s3prl(selection: str, full: bool = False) -> Side:
    return Side("s3prl", {"selection": selection, "full": full})


def _readout(peft: str) -> Side:
    return Side("ours", {"peft": peft, "dtype": _FP32, "dump": "all", "half_dump": True})


WORKS = (
    Work(
        "lora_audio_fp32", "hf", "LoRA from audio, fp32", _DEFAULTS.format("fp32"), _lora(_FP32), _hf(_FP32), 2.8,
        "Training from audio in float32; they with their dropouts, layerdrop and masking, in random order.",
    ),
    Work(
        "lora_audio_bf16", "hf", "LoRA from audio, bf16", _DEFAULTS.format("bf16 autocast"), _lora(_BF16), _hf(_BF16),
        2.5, "The same under bfloat16 autocast on both sides.",
    ),
    Work(
        "lora_audio_bf16_best", "hf", "LoRA from audio, bf16", _BEST, _lora(_BF16), _hf(_BF16, best=True), 1.1,
        "They without dropouts, layerdrop and masking, feature encoder frozen, our very batches.",
    ),
    Work(
        "lora_dump_fp32_defaults", "hf", "LoRA from the dump, bf16", _DEFAULTS.format("fp32"),
        _lora(_BF16, "layer:0"), _hf(_FP32), 9.0,
        "From the dump of layer:0 in bfloat16, beside what their users start with.",
    ),
    Work(
        "lora_dump_bf16_defaults", "hf", "LoRA from the dump, bf16", _DEFAULTS.format("bf16 autocast"),
        _lora(_BF16, "layer:0"), _hf(_BF16), 4.5, "The same with bfloat16 on both sides.",
    ),
    Work(
        "lora_dump_best", "hf", "LoRA from the dump, bf16", _BEST, _lora(_BF16, "layer:0"), _hf(_BF16, best=True), 1.6,
        "The same beside their best settings; they have no dump.",
    ),
    Work(
        "houlsby_top4_dump", "own", "houlsby in the top 4 layers, from the dump, bf16", "full fine-tuning here, bf16",
        Side("ours", {"peft": "houlsby", "dtype": _BF16, "top_n": 4, "dump": "top_n"}), _FULL, 6.0,
        "Adapters that train nothing below layer L-4, from its dump, beside training all.", same_trainable=False,
    ),
    Work(
        "houlsby_dump", "own", "houlsby in all layers, from the dump, bf16", "full fine-tuning here, bf16",
        Side("ours", {"peft": "houlsby", "dtype": _BF16, "dump": "layer:0"}), _FULL, 2.0,
        "Adapters in every layer, from the dump of layer:0, beside training all.", same_trainable=False,
    ),
    Work(
        "frozen_dump", "s3prl", "frozen from the dump, linear CTC head", "s3prl, frozen, last hidden state, same head",
        _readout("frozen"), _s3prl("last_hidden_state"), 50.0,
        "Reading out the last hidden state; s3prl computes the upstream in every step.", longer=4,
    ),
    Work(
        "weighted_sum_dump", "s3prl", "weighted_sum from the dump, linear CTC head",
        "s3prl, frozen + featurizer, same head", _readout("weighted_sum"), _s3prl("hidden_states"), 20.0,
        "Reading out the weighted sum of all hidden states; s3prl computes the upstream in every step.", longer=4,
    ),
    Work(
        "full_audio_fp32", "s3prl", "full fine-tuning from audio, fp32, convolutions frozen",
        "s3prl, upstream trainable",
        Side("ours", {"peft": "full", "dtype": _FP32, "set": ["peft.options.full.freeze_frontend=true"]}),
        _s3prl("last_hidden_state", full=True), None,
        "Everything but the convolutions trains on both sides (s3prl gives these no gradient).",
    ),
    Work(
        "decode_greedy", "s3prl", "greedy decoding, audio to text, bf16",
        "s3prl, greedy, one utterance at a time",
        Side("ours_decode", {"peft": "lora", "decode_set": ["decode.dtype=bfloat16"]}),
        Side("s3prl_decode", {"selection": "last_hidden_state"}), 2.0,
        "From audio files to a text file, LoRA merged here; s3prl's runner evaluates with batches of one.",
        same_trainable=False,
    ),
    Work(
        "memory_lora_audio", "own", "peak memory, LoRA from audio, bf16", "full fine-tuning here, bf16",
        _lora(_BF16), _FULL, 0.5, "The highest resident memory of the process while it trains, libraries included.",
        memory=True, same_trainable=False,
    ),
    Work(
        "memory_lora_dump", "own", "peak memory, LoRA from the dump, bf16", "full fine-tuning here, bf16",
        _lora(_BF16, "layer:0"), _FULL, 0.5, "The same from the dump.", memory=True, same_trainable=False,
    ),
    Work(
        "lora_audio_speechbrain", "speechbrain", "LoRA from audio, bf16", "SpeechBrain AdaptedModel, bf16 autocast",
        _lora(_BF16), Side("speechbrain", {"dtype": _BF16}), None,
        "SpeechBrain's wrapper around its HuBERT lobe, feature extractor frozen, the model's own dropouts.",
    ),
)  # fmt: skip


def choose(names: Sequence[str], against: Sequence[str]) -> list[Work]:
    """The works of these names (none: all) against these opponents, in the order of the table.

    Raises:
        UserError: an unknown name of either kind, or nothing is left.
    """
    known = [work.name for work in WORKS]
    for given, allowed, option in (
        *((n, known, "--work") for n in names),
        *((a, OPPONENTS, "--against") for a in against),
    ):
        if given not in allowed:
            raise UserError(
                f"unknown {option} '{given}'{nearest(given, allowed)}; allowed: {', '.join(allowed)}"
            )
    chosen = [w for w in WORKS if (not names or w.name in names) and w.against in against]
    if not chosen and set(against) - {"espnet"}:
        raise UserError(f"no work of --work {' '.join(names)} is against {', '.join(against)}; see --list")
    return chosen
