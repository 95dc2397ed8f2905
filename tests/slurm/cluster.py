"""Real Slurm on this machine: munged, slurmctld and slurmd in a directory of their own, nothing in /etc."""

import contextlib
import os
import platform
import re
import shutil
import signal
import socket
import subprocess
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path

TEMPLATE = Path(__file__).with_name("cluster.conf")
DAEMONS = ("munged", "slurmctld", "slurmd")


def why_not() -> str | None:
    """The reason why there can be no cluster here, or None."""
    if os.geteuid() != 0:
        return "starting munged and slurmd needs root"
    absent = [name for name in (*DAEMONS, "sbatch") if shutil.which(name) is None]
    return f"not installed: {' '.join(absent)} (apt-get install slurm-wlm munge)" if absent else None


def until(true: Callable[[], object], what: str, patience_s: float = 3600.0) -> object:
    """Poll; returns the first true value.

    Raises:
        TimeoutError: there was none in a time that is long for the slowest machine.
    """
    end = time.monotonic() + patience_s
    while not (value := true()):
        if time.monotonic() > end:
            raise TimeoutError(f"waited {patience_s:.0f} s for {what}")
        time.sleep(0.1)
    return value


class Cluster:
    """The daemons. ``environment`` makes sbatch and the others talk to them."""

    def __init__(self, folder: Path):
        self.folder = folder
        self.conf = folder / "cluster.conf"
        self.node = platform.node().split(".")[0]
        self.environment = {**os.environ, "SLURM_CONF": str(self.conf)}
        self._processes: dict[str, subprocess.Popen] = {}

    def start(self) -> None:
        """Returns when the node is idle."""
        self.folder.chmod(0o755)
        for name in ("state", "spool", "munge"):
            (self.folder / name).mkdir()
        key = self.folder / "munge" / "key"
        key.write_bytes(os.urandom(128))
        key.chmod(0o400)
        for path in (key, key.parent):
            shutil.chown(path, "munge", "munge")
        key.parent.chmod(0o711)
        ports = _free_ports(2)
        self.conf.write_text(
            TEMPLATE.read_text().format(
                host=self.node, folder=self.folder, slurmctld_port=ports[0], slurmd_port=ports[1]
            )
        )
        munge = [f"--{name}-file={key.parent}/{name}" for name in ("log", "pid", "seed")]
        command = ["munged", "--foreground", f"--key-file={key}", f"--socket={key.parent}/socket", *munge]
        self._start("munged", command, user="munge", group="munge", extra_groups=[])
        until((key.parent / "socket").exists, "munged", 300)
        self._start("slurmctld", ["slurmctld", "-D", "-c", "-f", str(self.conf)])
        self.start_node()

    def start_node(self) -> None:
        """Start slurmd; returns when the node can work."""
        self._start("slurmd", ["slurmd", "-D", "-f", str(self.conf), "-N", self.node])
        try:
            until(self._node_answers, "a node that works", 300)
        except TimeoutError as err:
            raise RuntimeError(self.logs()) from err

    def _node_answers(self) -> bool:
        if "down" in self.ask("sinfo", "-h", "-o", "%t"):
            self.ask("scontrol", "update", f"nodename={self.node}", "state=resume")
        return set(self.ask("sinfo", "-h", "-o", "%t").split()) <= {"idle", "mix", "alloc", "comp"}

    def lose_node(self, job: str) -> None:
        """The machine dies: every process of the job and of slurmd ends at once, and Slurm finds the node gone."""
        self._processes["slurmd"].kill()
        self._processes["slurmd"].wait()
        for pid in _processes_of(job):
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        self.ask("scontrol", "update", f"nodename={self.node}", "state=down", "reason=power")

    def ask(self, *command: str) -> str:
        """Standard output of one of Slurm's commands."""
        return subprocess.run(command, env=self.environment, capture_output=True, text=True).stdout

    def jobs(self, state: str = "all") -> dict[str, str]:
        """Jobs in the queue or ended less than some minutes ago: name -> id."""
        lines = self.ask("squeue", "-h", "-t", state, "-o", "%j %i").splitlines()
        return dict(line.split() for line in lines)

    def row(self, job: str) -> dict[str, str]:
        """What Slurm knows of a job."""
        return dict(re.findall(r"(\w+)=(\S*)", self.ask("scontrol", "-o", "show", "job", job)))

    def logs(self) -> str:
        """The ends of the daemons' logs."""
        return "".join((self.folder / f"{name}.log").read_text()[-1500:] for name in self._processes)

    def stop(self) -> None:
        """End all jobs and daemons."""
        if "slurmd" in self._processes:
            self.ask("scancel", "--user=root")
            with contextlib.suppress(TimeoutError):
                until(lambda: not self.ask("squeue", "-h").strip(), "the end of all jobs", 60)
        for process in reversed(self._processes.values()):
            process.terminate()
            try:
                process.wait(20)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()
        shutil.rmtree(self.folder, ignore_errors=True)

    def _start(self, name: str, command: list[str], **options) -> None:
        with open(self.folder / f"{name}.log", "w") as log:
            self._processes[name] = subprocess.Popen(
                command, stdout=log, stderr=log, env=self.environment, process_group=0, **options
            )


@contextlib.contextmanager
def running() -> Iterator[Cluster]:
    """A cluster, and its end whatever happens."""
    cluster = Cluster(Path(tempfile.mkdtemp(prefix="slurm-")))
    try:
        cluster.start()
        yield cluster
    finally:
        cluster.stop()


def _free_ports(count: int) -> list[int]:
    with contextlib.ExitStack() as stack:
        sockets = [stack.enter_context(socket.socket()) for _ in range(count)]
        for one in sockets:
            one.bind(("127.0.0.1", 0))
        return [one.getsockname()[1] for one in sockets]


def _processes_of(job: str) -> list[int]:
    """slurmstepd of the job and all that it started, by the job's id in their environment or their name."""
    found = []
    for folder in Path("/proc").glob("[0-9]*"):
        with contextlib.suppress(OSError):
            words = (folder / "cmdline").read_bytes().decode(errors="replace")
            variables = (folder / "environ").read_bytes().split(b"\0")
            if words.startswith(f"slurmstepd: [{job}.") or f"SLURM_JOB_ID={job}".encode() in variables:
                found.append(int(folder.name))
    return found
