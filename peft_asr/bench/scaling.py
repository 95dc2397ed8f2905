"""How the time of a step grows: with seconds in a batch, length of utterances, layers adapted, size of the model."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

from peft_asr.bench.campaign import in_words, key_of
from peft_asr.bench.checkpoint import find_geometry
from peft_asr.bench.child import measure
from peft_asr.bench.flops import step_flops
from peft_asr.bench.journal import Journal
from peft_asr.bench.material import prepare
from peft_asr.bench.setting import Setting
from peft_asr.bench.works import Side
from peft_asr.upstream import named_geometry

BATCHES_S = (1, 5, 10, 20, 40, 80, 120, 240)  # of utterances of 10 s (or one shorter one)
LENGTHS_S = (1, 2.5, 5, 7, 17.5, 35)  # 35 s in each batch
TOPS = (1, 2, 4, 6, 8, 10, 12)
SIZES = ("base", "large")
UTTERANCE_S = 10.0
BATCH_S = 40.0
ESTIMATED = "xls_r_1b"

# series -> what its x is
SERIES = {
    "batch": "seconds in a batch, utterances of 10 s",
    "length": "seconds of an utterance, 35 s in a batch",
    "layers": "layers with LoRA (the top N), from audio",
    "layers_dump": "layers with LoRA (the top N), from the dump below them",
    "size": "model",
}


@dataclass(frozen=True)
class Point:
    """One measurement: where it stands in which series, and what is run. ``x`` of the series ``size`` is a name."""

    series: str
    x: float | str
    setting: Setting
    side: Side


def points(setting: Setting, series: Sequence[str] = tuple(SERIES)) -> list[Point]:
    """All points of these series, LoRA throughout."""
    lora = {"peft": "lora", "dtype": "auto"}
    found = []
    for batch_s in BATCHES_S:
        length_s = min(UTTERANCE_S, batch_s)
        found.append(
            Point("batch", batch_s, setting.uniform(length_s, round(batch_s / length_s)), Side("ours", lora))
        )
    for length_s in LENGTHS_S:
        around = setting.uniform(length_s, round(LENGTHS_S[-1] / length_s))
        found.append(Point("length", length_s, around, Side("ours", lora)))
    usual = setting.uniform(UTTERANCE_S, round(BATCH_S / UTTERANCE_S))
    layers = find_geometry(setting.geometry).layers
    for top in (top for top in TOPS if top <= layers):
        for name, dump in (("layers", "none"), ("layers_dump", "top_n")):
            found.append(Point(name, top, usual, Side("ours", {**lora, "top_n": top, "dump": dump})))
    for size in SIZES if setting.geometry == "base" else (setting.geometry,):
        found.append(Point("size", size, replace(usual, geometry=size), Side("ours", lora)))
    return [point for point in found if point.series in series]


def run_points(
    chosen: Sequence[Point], journal: Journal, version: str, tell: Callable[[str], None] = print
) -> list[dict]:
    """Measure each point once; returns rows, and after the sizes one that is estimated.

    Keys of a row: ``series``, ``x``, ``step_s`` (mean), ``peak_mb``, ``audio_s`` (a step), ``gflop`` (of a whole step
    with LoRA in all layers), ``estimated``.

    Raises:
        UserError: a measurement failed.
    """
    rows = []
    for number, point in enumerate(chosen, start=1):
        prepare(point.setting, [point.side])
        key = {"scaling": point.series, "x": point.x, **key_of(point.setting, point.side, version)}
        found = journal.find(key)
        if found is None:
            found = measure(point.setting, point.side)
            journal.add(key, found)
        tell(f"[{number}/{len(chosen)}] {point.series} {point.x}: {in_words(found)}")
        rows.append(
            {
                "series": point.series,
                "x": point.x,
                "step_s": found["step_s"],
                "peak_mb": found["peak_mb"],
                "audio_s": found["audio_s"] / found["steps"],
                "gflop": _gflop(find_geometry(point.setting.geometry), point.setting),
                "estimated": False,
            }
        )
    sizes = [(point, row) for point, row in zip(chosen, rows, strict=True) if row["series"] == "size"]
    if sizes:
        rows.append(estimate(*sizes[-1]))
    return rows


def estimate(point: Point, measured: dict) -> dict:
    """The row of ``ESTIMATED``: as much slower than ``measured`` as it takes more operations. Its peak is unknown."""
    gflop = _gflop(named_geometry(ESTIMATED), point.setting)
    step_s = measured["step_s"] * gflop / measured["gflop"]
    return {**measured, "x": ESTIMATED, "step_s": step_s, "peak_mb": None, "gflop": gflop, "estimated": True}


def _gflop(geometry, setting: Setting) -> float:
    return step_flops(geometry, setting.utterance_s, setting.per_batch) / 1e9
