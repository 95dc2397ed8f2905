"""One cluster for all tests of this folder."""

import subprocess
from pathlib import Path

import pytest

from tests.slurm.cluster import Cluster, running, why_not

UTILS = Path(__file__).resolve().parents[2] / "utils"


@pytest.fixture(scope="package")
def cluster():
    """Slurm, or a skip with the reason."""
    if reason := why_not():
        pytest.skip(f"no Slurm: {reason}")
    with running() as cluster:
        yield cluster


@pytest.fixture
def slurm_pl(cluster: Cluster, tmp_path: Path):
    """Call utils/slurm.pl in tmp_path; ``start=True`` does not wait for its end."""

    def call(*args: object, start: bool = False, **variables: str):
        words = [str(UTILS / "slurm.pl"), *map(str, args)]
        options = {"cwd": tmp_path, "text": True, "env": {**cluster.environment, **variables}}
        if start:
            return subprocess.Popen(
                words, stdout=subprocess.PIPE, stderr=subprocess.PIPE, process_group=0, **options
            )
        return subprocess.run(words, capture_output=True, **options)

    return call
