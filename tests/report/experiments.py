"""Experiments as the stages leave them, without training anything."""

from pathlib import Path

from peft_asr.config import Config, save_config
from peft_asr.files import write_json


def make_experiment(
    folder: Path,
    *,
    method="lora",
    seed=0,
    trainable=73728,
    wer=5.0,
    sets=("test",),
    random_init=False,
    options=None,
    task="asr",
    scores=None,
) -> str:
    """Write config.yaml, summary.json and the scores of every set; returns the directory.

    ``scores``: rate -> further entries of its result.json, ``rate`` or ``accuracy`` among them; default: asr's.
    """
    config = Config(seed=seed)
    config.task = task
    config.upstream.name = "mini_hubert"
    config.upstream.random_init = random_init
    config.peft.spec = method
    config.peft.options = options or {}
    save_config(config, str(folder / "config.yaml"))
    write_json(
        folder / "summary.json",
        {"trainable": trainable, "total": 5_600_000, "adapter_bytes": 4 * trainable + 1000, "step_s": 0.612},
    )
    scores = scores or {"wer": {"rate": wer}, "cer": {"rate": wer / 2}}
    for name in sets:
        for rate, facts in scores.items():
            value = facts.get("rate", 0.0)
            result = {"rate": value, "interval_95": [value - 1.0, value + 1.5], "missing": [], **facts}
            if "accuracy" in facts:
                result["accuracy_95"] = [facts["accuracy"] - 2.0, facts["accuracy"] + 1.0]
            write_json(folder / f"decode_{name}" / f"score_{rate}" / "result.json", result)
    return str(folder)
