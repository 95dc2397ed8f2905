"""Stage 4: hypotheses for every utterance of a data directory."""

import contextlib
import logging
import shutil
import time
from collections.abc import Iterator, Sequence
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import torch
from tqdm import tqdm

from peft_asr.config import DecodeConfig
from peft_asr.data.dataset import SpeechDataset
from peft_asr.data.loader import SpeechLoader
from peft_asr.data.tables import table_text
from peft_asr.decode.beam import BeamSearch
from peft_asr.decode.checkpoint import find_adapter, read_task
from peft_asr.decode.forked import Forked
from peft_asr.decode.options import SPEED, check_options, decode_options
from peft_asr.decode.recogniser import Hypothesis, Output, Recogniser
from peft_asr.decode.search import search_all
from peft_asr.errors import UserError
from peft_asr.files import read_json, write_json, write_text
from peft_asr.frozen.read import start_from_dump

log = logging.getLogger(__name__)


def decode(
    exp: str,
    data_dir: str,
    out: str,
    *,
    batch_s: float | None = None,
    upstream_ckpt: str | None = None,
    ngpu: str = "auto",
    overwrite: bool = False,
    ckpt: str | None = None,
    files: Sequence[str] = (),
    overrides: Sequence[str] = (),
    lm: str | None = None,
    lexicon: str | None = None,
    nbest: int | None = None,
    nj: int = 1,
    dump_dir: str | None = None,
) -> bool:
    """Write ``out/text`` and ``out/score``, sorted by utterance; an empty hypothesis is a line with the id alone.

    A task with languages also gets ``out/lang`` (the id alone where none was heard), and ``decode.nbest`` above 1
    ``out/nbest/<k>best_recog/{text,score,am_score,lm_score}`` as ESPnet lays them out; an utterance with fewer
    than k different hypotheses is missing there. The files appear when every utterance has been decoded;
    ``out/decode.json`` tells with what and how fast.

    Args:
        exp: experiment directory with a finished training.
        data_dir: a test set as stage 2 leaves it.
        out: decoding directory, e.g. ``exp/decode_test``.
        batch_s: seconds of speech in a batch, padding included; None: as the experiment's config says. It does not
            change the hypotheses.
        upstream_ckpt, ngpu: as ``Recogniser`` takes them.
        overwrite: decode even if ``out`` is complete and newer than adapter and data.
        ckpt: as ``find_adapter`` takes it.
        files, overrides, lm, lexicon, nbest: as ``decode_options`` takes them.
        nj: processes of a beam search; they do not change the hypotheses.
        dump_dir: start from the dump of ``data_dir`` there (``peft-asr dump-features``), at the boundary where training
            started, instead of from audio.

    Returns:
        False if there was nothing to do.

    Raises:
        UserError: stage 2 or 3 has not finished, the audio or the adapter is broken, ``batch_s`` is not positive, or
            options that do not go together.
    """
    if batch_s is not None and not batch_s > 0:
        raise UserError(f"--batch_s {batch_s:g} is not a batch; allowed: seconds of speech above 0")
    adapter = find_adapter(exp, ckpt)
    config, task = read_task(adapter)
    options = decode_options(config.decode, files, overrides, lm=lm, lexicon=lexicon, nbest=nbest)
    check_options(options, task)
    made_with = _made_with(adapter, Path(data_dir), options)
    if not overwrite and _is_current(Path(out), adapter, Path(data_dir), made_with):
        log.info(
            "%s is complete and newer than adapter and data: nothing to do (--overwrite true decodes again)",
            out,
        )
        return False
    with contextlib.ExitStack() as stack:
        forked = None
        if options.search == "beam":
            forked = stack.enter_context(Forked(BeamSearch(task.tokenizer, options), nj))
        recogniser = Recogniser(adapter, upstream_ckpt=upstream_ckpt, ngpu=ngpu, dtype=options.dtype)
        dataset = SpeechDataset.load(data_dir, recogniser.task, role="test")
        started_from = _start(recogniser, data_dir, dataset, dump_dir)
        loader = SpeechLoader(
            dataset, batch_s or options.batch_s, shuffle=False, num_workers=options.num_workers
        )
        started = time.monotonic()
        hypotheses = _greedy(recogniser, loader) if forked is None else _beam(recogniser, loader, forked)
        wall_s = time.monotonic() - started
    if len(hypotheses) != len(dataset):
        raise RuntimeError(f"{len(hypotheses)} hypotheses for the {len(dataset)} utterances of {data_dir}")
    report = {
        **made_with,
        "device": str(recogniser.device),
        "dtype": str(recogniser.dtype or torch.float32).removeprefix("torch."),
        "start": started_from,
        "nj": nj,
        "utterances": len(hypotheses),
        "empty": sum(not found[0].text for found in hypotheses.values()),
        "audio_s": dataset.seconds,
        "wall_s": wall_s,
        "real_time_factor": wall_s / dataset.seconds,
    }
    _write(Path(out), hypotheses, report, languages=task.languages, nbest=options.nbest)
    log.info(
        "%s: %d utterances (%d empty hypotheses), %.1f s of speech in %.1f s, real-time factor %.4f",
        out, report["utterances"], report["empty"], report["audio_s"], wall_s, report["real_time_factor"],
    )  # fmt: skip
    return True


def _start(recogniser: Recogniser, data_dir: str, dataset: SpeechDataset, dump_dir: str | None) -> str:
    """Make the set yield activations where that is asked for; returns what it yields."""
    if dump_dir is None:
        return "audio"
    config = recogniser.config
    data = replace(
        config.data, dump="auto" if config.data.dump == "none" else config.data.dump, dump_dir=dump_dir
    )
    return start_from_dump(replace(config, data=data), recogniser.model, {data_dir: dataset})


def compute(recogniser: Recogniser, loader: SpeechLoader) -> Iterator[tuple[str, Output]]:
    """(utterance, output) of everything the loader holds, from long to short."""
    for batch in _batches(loader):
        yield from zip(
            batch.utt_ids, recogniser.outputs(batch.inputs, batch.wav_lengths, batch.at), strict=True
        )


def _batches(loader: SpeechLoader) -> tqdm:
    # disable=None: a bar on a terminal, nothing in a log file.
    return tqdm(loader.epoch(1), total=loader.num_batches(1), desc="decode", unit="batch", disable=None)


def _greedy(recogniser: Recogniser, loader: SpeechLoader) -> dict[str, list[Hypothesis]]:
    hypotheses: dict[str, list[Hypothesis]] = {}
    for batch in _batches(loader):
        read = recogniser(batch.inputs, batch.wav_lengths, batch.at)
        hypotheses.update({utt: [hyp] for utt, hyp in zip(batch.utt_ids, read, strict=True)})
    return hypotheses


def _beam(recogniser: Recogniser, loader: SpeechLoader, forked: Forked) -> dict[str, list[Hypothesis]]:
    return dict(search_all(forked, recogniser.task, compute(recogniser, loader)))


def _write(
    out: Path, hypotheses: dict[str, list[Hypothesis]], report: dict[str, Any], *, languages: bool, nbest: int
) -> None:
    """``text`` goes last: where it is, and is new, everything is."""
    best = {utt: found[0] for utt, found in hypotheses.items()}
    shutil.rmtree(out / "nbest", ignore_errors=True)
    for k in range(nbest if nbest > 1 else 0):
        kth = {utt: found[k] for utt, found in hypotheses.items() if len(found) > k}
        folder = out / "nbest" / f"{k + 1}best_recog"
        for name in ("score", "am_score", "lm_score"):
            write_text(folder / name, table_text({utt: f"{getattr(h, name):.4f}" for utt, h in kth.items()}))
        write_text(folder / "text", table_text({utt: h.text for utt, h in kth.items()}))
    if languages:
        write_text(out / "lang", table_text({utt: h.lang or "" for utt, h in best.items()}))
    write_text(out / "score", table_text({utt: f"{h.score:.4f}" for utt, h in best.items()}))
    write_json(out / "decode.json", report)
    write_text(out / "text", table_text({utt: h.text for utt, h in best.items()}))


def _made_with(adapter: Path, data_dir: Path, options: DecodeConfig) -> dict[str, Any]:
    """What decides the hypotheses, as ``decode.json`` names it."""
    decode_section = {key: value for key, value in asdict(options).items() if key not in SPEED}
    for key in ("lm", "lexicon"):
        if decode_section[key]:
            decode_section[key] = str(Path(decode_section[key]).resolve())
    return {
        "adapter": str(adapter.resolve()),
        "data_dir": str(data_dir.resolve()),
        "decode": decode_section,
    }


def _is_current(out: Path, adapter: Path, data_dir: Path, made_with: dict[str, Any]) -> bool:
    outputs = [out / name for name in ("score", "decode.json", "text")]
    inputs = [*adapter.iterdir(), data_dir / "wav.scp", data_dir / "utt2num_samples"]
    inputs += [Path(made_with["decode"][key]) for key in ("lm", "lexicon") if made_with["decode"][key]]
    if not all(path.is_file() for path in [*outputs, *inputs]):
        return False
    report = read_json(out / "decode.json")
    same = all(report.get(key) == value for key, value in made_with.items())
    # In the order in which they were written; text older than decode.json is left from before an interrupted run.
    times = [max(path.stat().st_mtime_ns for path in inputs), *(path.stat().st_mtime_ns for path in outputs)]
    return same and times == sorted(times)
