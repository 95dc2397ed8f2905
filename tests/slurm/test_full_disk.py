"""The batch script with a log on a full disk; no cluster is needed."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

JOB = Path(__file__).resolve().parents[2] / "utils" / "slurm_job.py"


@pytest.mark.parametrize(
    ("limit", "status", "ran"), [(0, 74, False), (4096, 75, True)], ids=["at the start", "at the end"]
)
def test_the_exit_status_says_when(tmp_path, limit, status, ran):
    # A file-size limit refuses writes as a full disk does.
    script = f"trap '' XFSZ; ulimit -f {limit // 512}; exec {sys.executable} {JOB} x.log 0 1 0 '' sh -c"
    script += " 'touch ran; head -c 9999 /dev/zero; true' >>x.log"
    environment = {**os.environ, "SLURM_JOB_ID": "7"}
    result = subprocess.run(
        ["sh", "-c", script], cwd=tmp_path, env=environment, capture_output=True, text=True
    )
    assert result.returncode == status
    assert (tmp_path / "ran").exists() == ran and "Traceback" not in result.stderr
