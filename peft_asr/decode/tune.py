"""The weights of a beam search that give the lowest error rate on a validation set."""

import hashlib
import logging
import os
from collections.abc import Mapping, Sequence
from dataclasses import asdict, replace
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np

from peft_asr.config import DecodeConfig
from peft_asr.data.dataset import SpeechDataset
from peft_asr.data.loader import SpeechLoader
from peft_asr.decode import log_probs
from peft_asr.decode.beam import BeamSearch
from peft_asr.decode.checkpoint import find_adapter, read_task
from peft_asr.decode.coordinates import coordinate_search, read_axes
from peft_asr.decode.decode import compute
from peft_asr.decode.forked import Forked
from peft_asr.decode.options import SPEED, check_options, decode_options
from peft_asr.decode.recogniser import Recogniser
from peft_asr.decode.search import hypothesis
from peft_asr.errors import UserError
from peft_asr.files import read_json, write_json, write_text
from peft_asr.score.rates import error_rate
from peft_asr.tasks import Task

logger = logging.getLogger(__name__)

UNITS = {"wer": "word", "cer": "char", "per": "phone"}
_GREEDY = DecodeConfig(search="greedy")


def tune_decode(
    exp: str,
    data_dir: str,
    out: str,
    *,
    metric: str | None = None,
    grid: Mapping[str, str | None] | None = None,
    files: Sequence[str] = (),
    overrides: Sequence[str] = (),
    lm: str | None = None,
    lexicon: str | None = None,
    ckpt: str | None = None,
    upstream_ckpt: str | None = None,
    batch_s: float | None = None,
    ngpu: str = "auto",
    nj: int = 1,
    overwrite: bool = False,
) -> bool:
    """Write ``out``, a configuration for ``decode``, and ``out`` with ``.json``: the table of all that was tried.

    Args:
        data_dir: a validation set as stage 2 leaves it. Its log-probabilities stay in ``exp/logprobs_<its name>`` and
            are used again as long as adapter and audio are the same.
        metric: wer, cer or per; None: the task's first.
        grid: ``lm_weight``, ``word_score``, ``sil_score`` -> values between blanks; None or absent: the default ones.
        others: as ``decode`` takes them. The search starts at the weights that the options have.

    Returns:
        False if there was nothing to do.

    Raises:
        UserError: no LM, no references, an unknown metric, or as ``decode``.
    """
    adapter = find_adapter(exp, ckpt)
    config, task = read_task(adapter)
    options = decode_options(config.decode, files, overrides, lm=lm, lexicon=lexicon)
    if options.lm is None:
        raise UserError(
            "tuning chooses the weight of a language model, and there is none; give one with --lm FILE"
        )
    check_options(options, task)
    metric = _metric(metric, task)
    axes = read_axes(grid or {}, options, task)
    dataset = SpeechDataset.load(data_dir, task, role="valid")
    made_with = {
        "log_probs": {**log_probs.identity(adapter, dataset), "dtype": options.dtype},
        "references": _digest(dataset),
        "decode": {key: value for key, value in asdict(options).items() if key not in SPEED},
        "files": [_stamp(path) for path in (options.lm, options.lexicon) if path],
        "axes": axes,
        "metric": metric,
    }
    record = Path(out).with_suffix(".json")
    if not overwrite and Path(out).is_file() and record.is_file():
        if read_json(record)["made_with"] == made_with:
            logger.info("%s is tuned for this adapter, data and LM: nothing to do", out)
            return False

    folder = Path(exp) / f"logprobs_{dataset.name}{f'_{adapter.name}' if ckpt else ''}"
    job = _Job(BeamSearch(task.tokenizer, options), task, folder)
    with Forked(job, nj) as forked:  # before the encoder: see there
        kept = log_probs.find(folder, made_with["log_probs"])
        if kept is None:
            recogniser = Recogniser(adapter, upstream_ckpt=upstream_ckpt, ngpu=ngpu, dtype=options.dtype)
            loader = SpeechLoader(
                dataset, batch_s or options.batch_s, shuffle=False, num_workers=options.num_workers
            )
            kept = log_probs.keep(folder, made_with["log_probs"], compute(recogniser, loader))
        references = {u.utt_id: task.reference(u.text, u.lang).text for u in dataset.utterances}
        refs = [references[utt] for utt in kept.utts]

        def rate(options: DecodeConfig) -> float:
            hyps = list(forked.map((options, i) for i in range(len(refs))))
            return error_rate(refs, hyps, UNITS[metric])

        greedy = rate(_GREEDY)
        print(f"{metric} of {len(refs)} utterances of {data_dir}, greedy: {greedy:.2f}", flush=True)
        start = {name: getattr(options, name) or 0.0 for name in axes}
        best, table = coordinate_search(
            lambda point: rate(replace(options, **point)), axes, start, lambda line: print(line, flush=True)
        )
    write_json(
        record,
        {"made_with": made_with, "greedy": greedy, "table": table, "best": best, "rate": table[-1]["best"]},
    )
    write_text(out, _yaml(replace(options, **best), best, metric, table[-1]["best"], greedy, data_dir))
    return True


class _Job:
    """(options, number of an utterance) -> its best hypothesis' text; reads what is kept when it is first called."""

    def __init__(self, search: BeamSearch, task: Task, folder: Path):
        self._search, self._task, self._folder = search, task, folder

    @cached_property
    def _kept(self) -> log_probs.LogProbs:
        return log_probs.LogProbs(self._folder)

    def __call__(self, value: tuple[DecodeConfig, int]) -> str:
        options, i = value
        output = self._kept[i]
        if options.search == "greedy":
            path = output.log_probs.argmax(axis=1)
            changed = np.flatnonzero(np.diff(path, prepend=-1))
            return self._task.read([int(t) for t in path[changed] if t != 0]).text
        found = self._search(output.log_probs, options)
        return hypothesis(self._task, found[0], output.lang).text


def _metric(metric: str | None, task: Task) -> str:
    allowed = [name for name in task.metrics if name in UNITS]
    metric = metric or allowed[0]
    if metric not in allowed:
        raise UserError(
            f"--metric {metric} does not exist for the task {task.name}; allowed: {', '.join(allowed)}"
        )
    return metric


def _digest(dataset: SpeechDataset) -> str:
    rows = sorted(f"{u.utt_id} {u.text}\n" for u in dataset.utterances)
    return hashlib.sha256("".join(rows).encode()).hexdigest()


def _stamp(path: str) -> list[Any]:
    file = os.stat(path)
    return [str(Path(path).resolve()), file.st_size, file.st_mtime_ns]


def _yaml(
    options: DecodeConfig, best: dict[str, float], metric: str, rate: float, greedy: float, data_dir: str
) -> str:
    lines = [
        f"# {metric} on {data_dir}: {rate:.2f} with these weights, {greedy:.2f} greedily.",
        "# All that was tried is in the .json beside.",
        "decode:",
        "  search: beam",
    ]
    for name in ("lm", "lexicon"):
        path = getattr(options, name)
        if path:
            lines.append(f'  {name}: "{Path(path).resolve()}"')
    for name in ("beam", "beam_tokens", "beam_threshold", *best):
        lines.append(f"  {name}: {getattr(options, name)}")
    lines.append(f"  log_add: {str(options.log_add).lower()}")
    return "\n".join(lines) + "\n"
