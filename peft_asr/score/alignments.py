"""Alignments of a whole test set, by one process or several."""

from collections.abc import Sequence
from dataclasses import dataclass

from peft_asr.data.pool import run_all
from peft_asr.errors import UserError
from peft_asr.score.corpus import Pair
from peft_asr.score.errors import align, count
from peft_asr.score.rates import split_units
from peft_asr.score.result_txt import Scored

# Below this, starting processes takes longer than it saves.
CHUNK = 200


@dataclass(frozen=True)
class Chunk:
    """Pairs that one process aligns at a time."""

    pairs: Sequence[Pair]
    unit: str


def align_all(pairs: Sequence[Pair], unit: str, nj: int = 1) -> list[Scored]:
    """Align every pair, in their order; the number of processes does not change the result.

    Args:
        pairs: P pairs.
        unit: as ``split_units`` takes it.
        nj: processes.

    Raises:
        UserError: ``nj`` is below 1, or a process was killed.
    """
    if nj < 1:
        raise UserError(f"--nj is a number of processes, at least 1; got {nj}")
    chunks = [Chunk(pairs[first : first + CHUNK], unit) for first in range(0, len(pairs), CHUNK)]
    return [scored for part in run_all(align_chunk, chunks, min(nj, len(chunks))) for scored in part]


def align_chunk(chunk: Chunk) -> list[Scored]:
    """The work of one process."""
    return [align_pair(pair, chunk.unit) for pair in chunk.pairs]


def align_pair(pair: Pair, unit: str) -> Scored:
    """One utterance with its alignment and counts."""
    steps = align(split_units(pair.ref, unit), split_units(pair.hyp or "", unit))
    return Scored(pair.utt_id, pair.speaker, steps, count(steps), missing=pair.hyp is None, lang=pair.lang)
