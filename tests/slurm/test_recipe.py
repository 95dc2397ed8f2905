"""egs/fsdd in miniature through real Slurm, in this order: all stages, a chain that is disturbed, a failing job."""

import json
import re
import subprocess
from pathlib import Path

import pytest

from tests.recipes.conftest import Recipe
from tests.recipes.digits import pack_few
from tests.slurm.cluster import until
from tests.tiny import write_tiny_checkpoint

STEPS = (
    "train.max_steps=200 train.valid_every=100 train.save_every=10 train.log_every=50 train.warmup_steps=0 "
    "data.batch_s=6 data.num_workers=0"
)


@pytest.fixture(scope="module")
def recipe(cluster, tmp_path_factory):
    """The recipe with a tiny upstream and a few recordings, on the cluster; call it with further options."""
    recipe = Recipe("fsdd", tmp_path_factory.mktemp("slurm"))
    files = tmp_path_factory.mktemp("few")
    environment = {**recipe.environment(), "SLURM_CONF": str(cluster.conf)}
    recipe.environment = lambda: environment
    common = [
        *("--db", pack_few(files / "audio", numbers=(0, 5, 10))),
        *("--upstream", "hubert_base", "--upstream_ckpt", write_tiny_checkpoint(files / "tiny.pt")),
        *("--train_args", STEPS, "--num_threads", 1, "--nj", 1, "--cmd_backend", "slurm"),
    ]

    def run(*args: object) -> subprocess.CompletedProcess:
        return recipe(*common, *args)

    run.folder = recipe.folder
    return run


@pytest.mark.parametrize(
    ("lines", "message"),
    [
        ('cuda_options="--partition gpu"', "Slurm has no such partition (invalid partition specified: gpu"),
        (
            'decode_options="--frob 1"',
            "conf/slurm.conf has no line for --frob 1; add 'option frob=* ...' there",
        ),
        ('train_options="--config none.conf"', "cannot read none.conf (--config): No such file or directory"),
    ],
)
def test_what_slurm_would_refuse_is_said_before_the_first_stage(recipe, lines, message):
    script = recipe.folder / "cmd.sh"
    text = script.read_text()
    script.write_text(text.replace("\n. ", f"\n{lines}\n. "))
    try:
        result = recipe()
    finally:
        script.write_text(text)
    assert result.returncode == 1
    assert message in result.stderr and result.stderr.count("\n") == 1
    assert not (recipe.folder / "data").exists()


def test_stages_one_to_five(recipe):
    result = recipe()
    assert result.returncode == 0, result.stdout + result.stderr
    (exp,) = (recipe.folder / "exp").iterdir()
    for log in ("train", "decode_test", "score_test", "results"):
        text = (exp / "log" / f"{log}.log").read_text()
        assert ", Slurm job " in text.splitlines()[1] and "# ended (code 0) at " in text
    (row,) = map(json.loads, (recipe.folder / "results.jsonl").read_text().splitlines())
    assert f"{row['wer']:.2f}" in result.stdout.splitlines()[-3]
    # What training shows is seen while one waits.
    assert "step 200" in result.stdout


def test_a_chain_goes_on_after_preemption_and_after_its_machine_was_lost(recipe, cluster):
    result = recipe("--stage", 3, "--exp_dir", "chain", "--submit", "true")
    assert result.returncode == 0, result.stdout + result.stderr
    jobs = re.findall(r"stage ([345]): job ([0-9]+)", result.stdout)
    assert [stage for stage, _ in jobs] == ["3", "4", "5"]
    training, last = jobs[0][1], jobs[-1][1]
    (exp,) = (recipe.folder / "chain").iterdir()
    log = exp / "log" / f"stage_3.{training}.log"

    def wait_for(true, what: str):
        def without_failure():
            assert cluster.row(training)["JobState"] not in ("FAILED", "CANCELLED"), log.read_text()
            return true()

        until(without_failure, what)

    wait_for(lambda: _saves(exp), "a saved state")
    cluster.ask("sbatch", "--partition=urgent", "--exclusive", "--output=/dev/null", "--wrap", "sleep 1")
    wait_for(lambda: "# started again (restart 1)" in log.read_text(), "the restart after the preemption")
    assert "DUE TO PREEMPTION" in log.read_text()
    assert cluster.row(last)["JobState"] == "PENDING"

    before = _saves(exp)
    wait_for(lambda: _saves(exp) > before, "another saved state")
    cluster.lose_node(training)
    cluster.start_node()
    wait_for(
        lambda: cluster.row(last)["JobState"] in ("COMPLETED", "FAILED", "CANCELLED"), "the end of the chain"
    )
    assert cluster.row(last)["JobState"] == "COMPLETED", log.read_text()
    assert cluster.row(training)["Restarts"] == "2"
    # A preempted job is told, and saves on the spot; of a lost machine there is what it saved last.
    told = (exp / "train.log").read_text()
    (stopped,) = re.findall("stopped by SIGTERM at step ([0-9]+), state saved", told)
    resumed = re.findall("resumed at step ([0-9]+)", told)
    assert resumed[0] == stopped and len(resumed) == 2

    (undisturbed,) = (recipe.folder / "exp").iterdir()
    for file in ("adapter/adapter.safetensors", "decode_test/text"):
        assert (exp / file).read_bytes() == (undisturbed / file).read_bytes()


def test_a_grid_shares_the_first_stages_and_has_a_chain_each(recipe):
    result = recipe("--peft", "frozen lora", "--seeds", "1 2", "--submit", "true", "--dry_run", "true")
    assert result.returncode == 0, result.stderr
    jobs = [line for line in result.stdout.splitlines() if " --wait false " in line]
    assert len(jobs) == 2 + 4 * 3 + 1
    assert "--after singleton" in jobs[0] and r"--after afterok:JOB1\,singleton" in jobs[1]
    for first in (2, 5, 8, 11):
        assert (
            "--after afterok:JOB2 " in jobs[first] and f"--after afterok:JOB{first + 2} " in jobs[first + 2]
        )
    assert "--peft lora" in jobs[5 + 3] and "--seed 1" in jobs[5 + 3] and "--seed 2" in jobs[5 + 6]
    assert "--after afterany:JOB5:JOB8:JOB11:JOB14 " in jobs[-1] and jobs[-1].endswith("--overwrite false")


def test_a_failing_job_is_reported_with_its_log(recipe):
    audio = Path((recipe.folder / "data" / "train" / "wav.scp").read_text().split()[1])
    (recipe.folder / audio).write_bytes(b"no audio")
    result = recipe("--stage", 2, "--dump_dir", "dump2")
    assert result.returncode == 1
    log = "dump2/log/audio/train.log"
    assert f"(log: {log})" in result.stdout and audio.name in result.stdout + result.stderr
    assert "# ended (code 1)" in (recipe.folder / log).read_text()
    assert not (recipe.folder / "dump2" / "audio" / "dev").exists()


def _saves(exp: Path) -> int:
    """Time of the last saved state in ns; 0: there is none."""
    return max((path.stat().st_mtime_ns for path in (exp / "state").glob("*")), default=0)
