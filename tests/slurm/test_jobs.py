"""utils/slurm.pl on real Slurm: what run.pl does, and what only a cluster does to a job."""

import signal
from pathlib import Path

from tests.slurm.cluster import until


def test_arguments_log_and_environment_as_run_pl(slurm_pl, tmp_path):
    command = [
        "sh",
        "-c",
        'printf "%s|" "$@"; echo "$OMP_NUM_THREADS [$CUDA_VISIBLE_DEVICES] $SLURM_CPUS_PER_TASK"',
        "sh",
    ]
    result = slurm_pl(
        "--gpu", 0, "--num-threads", 2, "--mem", "100M", "--time", "1:00:00", "log/a%j.log",
        *command, "two words", "$HOME", "a;b", "*", "50%",
    )  # fmt: skip
    assert result.returncode == 0, result.stderr
    head, started, _, body, spent, ended = (tmp_path / "log" / "a%j.log").read_text().splitlines()
    assert head.startswith("# sh -c ") and started.startswith("# started at ")
    assert body == "two words|$HOME|a;b|*|50%|2 [] 2"
    assert (
        spent.startswith("# time=")
        and spent.endswith(" threads=2")
        and ended.startswith("# ended (code 0) at ")
    )
    assert result.stdout == ""


def test_an_array_with_a_failing_task(slurm_pl, tmp_path):
    result = slurm_pl(
        "JOB=2:4", "log/x.JOB.log", "sh", "-c", "echo from JOB > out.JOB; echo JOB; [ JOB != 3 ] || exit 7"
    )
    assert result.returncode == 7
    assert (
        "1 of 3 tasks of job " in result.stderr
        and "failed with exit status 7; the end of log/x.3.log:\n    3\n" in result.stderr
    )
    assert [(tmp_path / f"out.{n}").read_text() for n in (2, 3, 4)] == ["from 2\n", "from 3\n", "from 4\n"]
    assert "# ended (code 7)" in (tmp_path / "log/x.3.log").read_text()
    assert "# ended (code 0)" in (tmp_path / "log/x.4.log").read_text()


def test_max_jobs_run(slurm_pl, tmp_path):
    (tmp_path / "n").touch()
    script = (
        'echo + >> n; sleep 0.3; test "$(grep -c + n)" -le "$(( $(grep -c - n) + 1 ))" || exit 9; echo - >> n'
    )
    assert slurm_pl("--max-jobs-run", 1, "JOB=1:2", "x.JOB.log", "bash", "-c", script).returncode == 0
    assert (tmp_path / "n").read_text() == "+\n-\n" * 2


def test_output_is_shown_and_a_sentence_for_the_user_stands_alone(slurm_pl):
    script = "echo out; echo 'peft-asr x: error: b.wav is empty' >&2; exit 1"
    shown = slurm_pl("--show", "true", "x.log", "sh", "-c", script)
    assert (shown.returncode, shown.stdout, shown.stderr) == (
        1,
        "out\npeft-asr x: error: b.wav is empty\n",
        "",
    )
    hidden = slurm_pl("x.log", "sh", "-c", script)
    assert hidden.stderr == "peft-asr x: error: b.wav is empty (log: x.log)\n"


def test_a_process_killed_by_sigkill_is_reported_with_its_log(slurm_pl):
    result = slurm_pl("x.log", "sh", "-c", "echo before; kill -KILL $$")
    assert result.returncode == 137
    assert "was killed by SIGKILL (exit status 137), as happens when memory runs out" in result.stderr
    assert "the end of x.log:\n    before\n" in result.stderr


def test_a_full_disk_is_named(slurm_pl, tmp_path):
    (tmp_path / "x.log").symlink_to("/dev/full")
    result = slurm_pl("x.log", "touch", "ran")
    assert result.returncode == 1 and not (tmp_path / "ran").exists()
    assert result.stderr == (
        "slurm.pl: error: cannot write the log x.log: is the disk full? (the job was not started)\n"
    )
    (tmp_path / "file").touch()
    result = slurm_pl("file/sub/x.log", "true")
    assert result.returncode == 2
    assert "cannot write the log file/sub/x.log: Not a directory (the job was not submitted)" in result.stderr


def test_a_jobs_own_status_is_not_taken_for_that(slurm_pl):
    result = slurm_pl("x.log", "sh", "-c", "echo words; exit 74")
    assert result.returncode == 74 and "exit status 74; the end of x.log:\n    words\n" in result.stderr


def test_interrupted_it_cancels_the_job(slurm_pl, cluster, tmp_path):
    for sent, status in ((signal.SIGINT, 130), (signal.SIGTERM, 143)):
        process = slurm_pl(
            "x.log",
            "bash",
            "-c",
            "trap 'echo saved; exit 143' TERM; echo ready; sleep 100 & wait",
            start=True,
        )
        until(lambda: _holds(tmp_path / "x.log", "ready\n"), "the job")
        process.send_signal(sent)
        process.communicate()
        assert process.returncode == status
        assert cluster.ask("squeue", "-h") == ""
        assert _holds(tmp_path / "x.log", "\nsaved\n") and _holds(tmp_path / "x.log", "# ended (code 143)")
        (tmp_path / "x.log").unlink()


def test_before_the_time_limit_a_job_saves_and_goes_back_into_the_queue(slurm_pl, cluster, tmp_path):
    # Slurm sends USR1 as --signal=B:USR1@N has it: to the batch script alone. The config.yaml is written by the job.
    script = (
        "trap 'echo saved; exit 138' USR1; [ -f config.yaml ] && echo again \"$@\" && exit; "
        "touch config.yaml; echo ready; sleep 100 & wait"
    )
    process = slurm_pl(
        "--began", "config.yaml", "x.log", "bash", "-c", script, "job", "--overwrite", "true", start=True
    )
    until(lambda: _holds(tmp_path / "x.log", "ready\n"), "the job")
    cluster.ask("scancel", "--batch", "--signal=USR1", cluster.jobs("running")[f"{tmp_path.name}.x"])
    _, errors = process.communicate()
    assert process.returncode == 0
    assert "put back into the queue" in errors
    log = (tmp_path / "x.log").read_text()
    assert log.index("saved") < log.index("# ended (code 138)") < log.index("# started again (restart 1)")
    # It had been obeyed: a second start must not remove what the first one has done.
    assert log.index("# started again") < log.index("again --overwrite false")


def test_a_command_that_cannot_save_is_left_alone(slurm_pl, cluster, tmp_path):
    process = slurm_pl(
        "x.log",
        "python3",
        "-c",
        "import time; print('ready', flush=True); time.sleep(2); print('whole')",
        start=True,
    )
    until(lambda: _holds(tmp_path / "x.log", "ready\n"), "the job")
    cluster.ask("scancel", "--batch", "--signal=USR1", cluster.jobs("running")[f"{tmp_path.name}.x"])
    process.communicate()
    assert (
        process.returncode == 0
        and _holds(tmp_path / "x.log", "no way to save")
        and _holds(tmp_path / "x.log", "whole\n")
    )


def test_a_job_without_the_environment_takes_it_from_path_sh(slurm_pl, tmp_path):
    (tmp_path / "conf").mkdir()
    (tmp_path / "conf" / "slurm.conf").write_text("command sbatch --export=PATH,SLURM_CONF\n")
    (tmp_path / "path.sh").write_text("export FROM=path.sh\n")
    assert slurm_pl("x.log", "sh", "-c", "echo $FROM $OTHER", OTHER="lost").returncode == 0
    assert _holds(tmp_path / "x.log", "\npath.sh\n")


def test_what_slurm_refuses_is_one_sentence(slurm_pl, cluster, tmp_path):
    deaf = tmp_path / "deaf.conf"  # a munge that is not there
    deaf.write_text(cluster.conf.read_text().replace("/munge/socket", "/munge/none"))
    alone = tmp_path / "alone.conf"  # a controller that is not there
    alone.write_text("".join(
        "SlurmctldPort=1\nMessageTimeout=2\n" if line.startswith("SlurmctldPort") else line
        for line in cluster.conf.read_text().splitlines(keepends=True)
    ))  # fmt: skip
    cases = [
        (["--partition", "gpu"], {}, "Slurm has no such partition (invalid partition specified: gpu"),
        (["--partition", "gpu"], {}, "it is given with --partition or in "),
        (["--partition", "gpu"], {}, "sinfo lists: main urgent"),
        (["--gpu", 1], {}, "the cluster has no such GPUs (Invalid generic resource (gres) specification)"),
        (
            ["--num-threads", 64, "--check", "true"],
            {},
            "Slurm does not take the job: ",
        ),  # it would wait for ever
        (
            [],
            {"SLURM_CONF": str(deaf)},
            "munge, which signs messages to Slurm, does not work on this machine",
        ),
        ([], {"SLURM_CONF": str(alone)}, "the controller of Slurm does not answer (scontrol ping)"),
    ]
    for options, variables, message in cases:
        result = slurm_pl(*options, "x.log", "true", **variables)
        assert result.returncode == 2, (options, result.stderr)
        assert message in result.stderr and result.stderr.count("\n") == 1, result.stderr
    assert slurm_pl("--num-threads", 2, "--check", "true").returncode == 0
    assert cluster.ask("squeue", "-h") == ""


def test_a_dependent_job_is_dropped_when_it_can_no_longer_start(slurm_pl, cluster):
    first = slurm_pl("--wait", "false", "log/a.%j.log", "sh", "-c", "sleep 1; exit 3").stdout.strip()
    second = slurm_pl("--wait", "false", "--after", f"afterok:{first}", "log/b.%j.log", "true").stdout.strip()
    until(lambda: cluster.row(second)["JobState"] == "CANCELLED", "the end of the chain")
    assert cluster.row(first)["ExitCode"] == "3:0"


def _holds(log: Path, text: str) -> bool:
    return log.exists() and text in log.read_text()
