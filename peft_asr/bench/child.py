"""``python -m peft_asr.bench.child ORDER.json RESULT.json``: one measurement in a process of its own."""

import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path

from peft_asr.bench.setting import Setting
from peft_asr.bench.works import Side
from peft_asr.errors import UserError
from peft_asr.files import read_json, write_json


def measure(setting: Setting, side: Side) -> dict:
    """Run a side in a new process and return its measurement (``Gauge.report``).

    Raises:
        UserError: the process failed; the message ends with its last line.
    """
    with tempfile.TemporaryDirectory(prefix="peft_asr_bench_") as folder:
        order, result = Path(folder) / "order.json", Path(folder) / "result.json"
        values = {**setting.key(), "folder": setting.folder}
        write_json(order, {"setting": values, "runner": side.runner, "options": side.options})
        threads = str(setting.threads)
        environment = os.environ | {
            "OMP_NUM_THREADS": threads,
            "MKL_NUM_THREADS": threads,
            "HF_HUB_OFFLINE": "1",
        }
        if setting.device == "cpu":
            environment["CUDA_VISIBLE_DEVICES"] = ""
        done = subprocess.run(
            [sys.executable, "-m", "peft_asr.bench.child", str(order), str(result)],
            env=environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            check=False,
        )
        if done.returncode or not result.is_file():
            last = (done.stdout.strip().splitlines() or ["it said nothing"])[-1]
            raise UserError(
                f"the side {side.runner} {json.dumps(side.options)} failed with status {done.returncode}: {last}"
            )
        return read_json(result)


def main() -> int:
    """Read the order, measure, write the result."""
    order = read_json(sys.argv[1])
    import torch

    from peft_asr.bench.sides import run_side

    setting = Setting(**order["setting"])
    torch.set_num_threads(setting.threads)
    try:
        write_json(sys.argv[2], run_side(order["runner"], setting, order["options"]))
    except UserError as err:
        print(f"error: {err}")
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
