"""Starts the processes of one run on this machine with torch's own launcher, and passes on how they end."""

import logging
import os
import signal
import subprocess
import sys
import tempfile
import uuid
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from peft_asr.errors import UserError

PORT = 29400
SIGNALS = "SIGTERM,SIGINT,SIGUSR1"  # those that a run answers by saving its state


def launch(command: Sequence[str], processes: int, nodes: int = 1) -> int:
    """Run ``python -m peft_asr.bin.main COMMAND...`` in ``processes`` processes here and on each of the other nodes.

    With several nodes the same command is started on each (srun, or by hand); they find each other at
    ``$MASTER_ADDR:$MASTER_PORT`` (default port 29400), under Slurm at the first host of the job. Only rank 0 of the
    run is heard; what another one printed is shown if that one fails alone.

    Returns:
        The exit status of rank 0, or of the process that failed; 128 + signal if one was sent here.

    Raises:
        UserError: several nodes, and nothing tells where the first one is; or a process was killed.
    """
    from torch.distributed.elastic.multiprocessing.api import DefaultLogsSpecs, SignalException, Std
    from torch.distributed.elastic.multiprocessing.errors import ChildFailedError
    from torch.distributed.launcher.api import LaunchConfig, elastic_launch

    logging.getLogger("torch.distributed.elastic").setLevel(
        logging.CRITICAL
    )  # its account of a failure is ours
    with tempfile.TemporaryDirectory(prefix="peft_asr_ranks_") as folder:
        silent = {rank: Std.ALL for rank in range(processes) if rank or not _is_first_node()}
        config = LaunchConfig(
            min_nodes=nodes,
            max_nodes=nodes,
            nproc_per_node=processes,
            run_id=os.environ.get("SLURM_JOB_ID", "peft_asr" if nodes > 1 else uuid.uuid4().hex),
            rdzv_backend="c10d",
            rdzv_endpoint=meeting_point(nodes),
            max_restarts=0,
            signals_to_handle=SIGNALS,
            logs_specs=DefaultLogsSpecs(log_dir=folder, redirects=silent),
        )
        try:
            elastic_launch(config, sys.executable)("-u", "-m", "peft_asr.bin.main", *command)
        except SignalException as stopped:
            return 128 + int(stopped.sigval)
        except ChildFailedError as failed:
            return _ending(failed, Path(folder))
    return 0


def meeting_point(nodes: int) -> str:
    """``host:port`` at which the processes find each other.

    Raises:
        UserError: several nodes, and neither ``$MASTER_ADDR`` nor Slurm tells the first one.
    """
    if nodes == 1:
        return "localhost:0"
    host, port = os.environ.get("MASTER_ADDR"), os.environ.get("MASTER_PORT", str(PORT))
    if not host and os.environ.get("SLURM_JOB_NODELIST"):
        listed = ["scontrol", "show", "hostnames", os.environ["SLURM_JOB_NODELIST"]]
        host = subprocess.run(listed, capture_output=True, text=True, check=True).stdout.split()[0]
    if not host:
        raise UserError(
            f"--num_nodes {nodes}: nothing tells where the first node is; set MASTER_ADDR (and MASTER_PORT, default "
            f"{PORT}) and start the same command on every node, or run it under srun"
        )
    return f"{host}:{port}"


def _is_first_node() -> bool:
    return os.environ.get("SLURM_NODEID", os.environ.get("NODE_RANK", "0")) == "0"


def _ending(failed: Any, folder: Path) -> int:
    """The exit status; what rank 0 could not say is said here."""
    rank, failure = failed.get_first_failure()
    status = failure.exitcode
    if status < 0:
        raise UserError(
            f"process {rank} of this run was killed by {signal.Signals(-status).name}; "
            "run the same command again to go on from the last state"
        )
    if 0 not in failed.failures:
        for log in sorted(folder.glob(f"**/{failure.local_rank}/stderr.log")):
            sys.stderr.write(log.read_text(encoding="utf-8", errors="replace"))
    return status
