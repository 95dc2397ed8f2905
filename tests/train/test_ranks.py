"""Several processes: the loss curve of one, one writer, and an end that another run can take up."""

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
import torch
import torch.multiprocessing as mp
from safetensors.torch import load_file

from peft_asr.bin.main import main
from peft_asr.data.dataset import SpeechDataset, Utterance
from peft_asr.data.loader import SpeechLoader
from peft_asr.errors import UserError
from peft_asr.train.launch import meeting_point
from peft_asr.train.ranks import ALONE, Ranks
from peft_asr.train.stop import StopSignals
from tests.train.test_run import ROOT, arguments, contents, world

__all__ = ["world"]  # a fixture
STEPS = 40
WITHOUT_DRAWS = ("train.mask.time_prob=0", "train.mask.feature_prob=0")


def start(command: list[str], **variables: str) -> subprocess.Popen:
    return subprocess.Popen(
        [sys.executable, "-m", "peft_asr.bin.main", *command],
        cwd=ROOT,
        env=os.environ | {"OMP_NUM_THREADS": "1"} | variables,
        stderr=subprocess.PIPE,
        text=True,
    )


def finish(process: subprocess.Popen) -> tuple[int, str]:
    _, printed = process.communicate()
    return process.returncode, printed


def curve(exp: Path) -> list[dict]:
    return [json.loads(line) for line in (exp / "metrics.jsonl").read_text().splitlines()]


def wait_for_step(exp: Path, process: subprocess.Popen, step: int) -> None:
    log = exp / "train.log"
    while process.poll() is None and not (log.exists() and f"step {step}/{STEPS}" in log.read_text()):
        time.sleep(0.02)
    assert process.poll() is None, process.communicate()[1]


def children(pid: int) -> list[int]:
    """In the order of their birth, which is that of their ranks."""
    return [int(child) for child in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]


def test_the_curve_of_one_process(world, tmp_path, tiny_checkpoint):
    """Without dropout and masks two processes give what one gives, to the rounding of sums in another order."""
    command = [
        word.replace("lora.dropout=0.1", "lora.dropout=0.0")
        for word in arguments(world, tmp_path / "one", tiny_checkpoint, *WITHOUT_DRAWS)
    ]
    assert main(command) == 0
    command[command.index("--exp") + 1] = str(tmp_path / "two")
    status, printed = finish(start([command[0], "--num_processes", "2", *command[1:]]))
    assert status == 0, printed
    one, two = curve(tmp_path / "one"), curve(tmp_path / "two")
    assert [r["step"] for r in two] == [r["step"] for r in one] == [4, 8, 12]
    for key in ("train_loss", "valid_loss"):
        assert [r[key] for r in two] == pytest.approx([r[key] for r in one], abs=1e-4)
    expected = load_file(tmp_path / "one" / "adapter" / "adapter.safetensors")
    for name, tensor in load_file(tmp_path / "two" / "adapter" / "adapter.safetensors").items():
        torch.testing.assert_close(tensor, expected[name], atol=1e-3, rtol=1e-2)
    summary = json.loads((tmp_path / "two" / "summary.json").read_text())
    assert summary["processes"] == 2
    log = (tmp_path / "two" / "train.log").read_text()
    assert log.count("step 3/12") == 1 and log.count("validation at step 4: loss") == 1


def test_stopped_killed_and_continued_on_two_nodes(world, tmp_path, tiny_checkpoint):
    """With dropout and masks on: the bytes of an undisturbed run."""

    def command(exp: str) -> list[str]:
        line = arguments(world, tmp_path / exp, tiny_checkpoint, steps=STEPS)
        return [line[0], "--num_processes", "2", *line[1:]]

    undisturbed = start(command("undisturbed"))
    run = start(command("disturbed"))
    wait_for_step(tmp_path / "disturbed", run, 4)
    run.send_signal(signal.SIGTERM)
    status, printed = finish(run)
    assert status == 128 + signal.SIGTERM, printed
    assert "stopped by SIGTERM at step" in printed and "Traceback" not in printed

    run = start(command("disturbed"))
    wait_for_step(tmp_path / "disturbed", run, 14)
    os.kill(children(run.pid)[1], signal.SIGKILL)
    status, printed = finish(run)
    assert (
        status == 1 and "process 1 of this run was killed by SIGKILL; run the same command again" in printed
    )

    line = command("disturbed")
    line[line.index("--num_processes") + 1] = "1"
    variables = {"MASTER_ADDR": "localhost", "MASTER_PORT": "29477"}
    nodes = [
        start([*line[:1], "--num_nodes", "2", *line[1:]], NODE_RANK=str(rank), **variables) for rank in (0, 1)
    ]
    for status, printed in map(finish, nodes):
        assert status == 0, printed
    assert finish(undisturbed)[0] == 0
    assert contents(tmp_path / "disturbed" / "adapter") == contents(tmp_path / "undisturbed" / "adapter")


def test_shares_cover_a_batch_and_weigh_the_same():
    lengths = [5000, 100, 4000, 3000, 2900, 80, 60]
    utterances = [Utterance(f"u{i}", "", n, "", [1]) for i, n in enumerate(lengths)]
    loaders = [
        SpeechLoader(SpeechDataset(utterances), 10.0, shuffle=False, rank=rank, world=3) for rank in range(3)
    ]
    (batch,) = loaders[0].batches(0)
    shares = [loader.share(batch) for loader in loaders]
    assert sorted(sum(shares, [])) == sorted(batch)
    assert [max(lengths[i] for i in share) for share in shares] == [5000, 4000, 3000]
    assert [loader.share(batch[:1]) for loader in loaders] == [batch[:1], [], []]


def test_alone_nothing_is_sent():
    stop = StopSignals()
    assert ALONE.total([2, 3]) == [2.0, 3.0] and ALONE.gather("x") == ["x"]
    assert ALONE.agree(stop, True) == (False, True) and ALONE.agree(stop) == (False, False)
    assert stop.requested is None


def test_a_signal_that_comes_while_ranks_ask_is_not_lost(monkeypatch):
    """It is not yet agreed upon, so that all ranks do the same, but the next question finds it."""
    stop = StopSignals()

    def during(self, values):
        stop.requested = signal.SIGTERM
        return list(map(float, values))

    with monkeypatch.context() as patched:
        patched.setattr(Ranks, "highest", during)
        assert not Ranks(0, 2).agree(stop).stopping
    assert ALONE.agree(stop).stopping and stop.requested == signal.SIGTERM


def _exchange(rank: int, folder: str) -> None:
    """What two ranks see; written by each for the test to read."""
    torch.distributed.init_process_group("gloo", init_method=f"file://{folder}/meet", rank=rank, world_size=2)
    ranks, stop = Ranks(rank, 2), StopSignals()
    a, b, c = (torch.nn.Parameter(torch.zeros(2)) for _ in range(3))
    a.grad = torch.full((2,), 1.0 + rank)
    if rank:
        b.grad = torch.ones(2)
    ranks.sum_gradients([a, b, c])
    leading = torch.full((3,), float(rank))
    ranks.follow_leader([leading, torch.tensor([rank])])
    stop.requested = signal.SIGUSR1 if rank else None
    seen = {
        "total": ranks.total([rank, 1]),
        "gradients": [a.grad.tolist(), b.grad.tolist(), c.grad],
        "leading": leading.tolist(),
        "agreed": ranks.agree(stop, trouble=rank == 0),
        "stop": stop.requested,
        "gathered": ranks.gather({"rank": rank}),
    }
    Path(folder, f"{rank}.json").write_text(json.dumps(seen))
    torch.distributed.destroy_process_group()


def test_what_two_ranks_agree_on(tmp_path):
    mp.spawn(_exchange, (str(tmp_path),), nprocs=2)
    for rank in (0, 1):
        assert json.loads((tmp_path / f"{rank}.json").read_text()) == {
            "total": [1.0, 2.0],
            "gradients": [[3.0, 3.0], [1.0, 1.0], None],
            "leading": [0.0, 0.0, 0.0],
            "agreed": [True, True],
            "stop": signal.SIGUSR1,
            "gathered": [{"rank": 0}, {"rank": 1}],
        }


def test_where_nodes_meet(monkeypatch):
    monkeypatch.delenv("MASTER_ADDR", raising=False)
    monkeypatch.delenv("SLURM_JOB_NODELIST", raising=False)
    with pytest.raises(
        UserError, match="--num_nodes 2: nothing tells where the first node is; set MASTER_ADDR"
    ):
        meeting_point(2)
    monkeypatch.setenv("MASTER_ADDR", "node7")
    assert meeting_point(2) == "node7:29400"
    assert meeting_point(1) == "localhost:0"


@pytest.mark.parametrize("option", ["--num_processes", "--num_nodes"])
def test_numbers_of_processes_are_checked(option, tmp_path, capsys):
    with pytest.raises(SystemExit):
        main(["train", "--exp", str(tmp_path), option, "0"])
    assert "expected a whole number from 1, got '0'" in capsys.readouterr().err
