"""The command line of utils/slurm.pl, and the sbatch command that it stands for."""

import re
import sys
import time
from pathlib import Path
from typing import NoReturn

from slurm_conf import SlurmConf

HERE = Path(__file__).resolve().parent
OWN = {
    "config": "", "cpus": "", "max_jobs_run": "", "show": "false", "wait": "true", "after": "", "began": "",
    "check": "false",
}  # fmt: skip


def die(message: str) -> NoReturn:
    """End with one sentence."""
    print(f"slurm.pl: error: {message}", file=sys.stderr)
    sys.exit(2)


class Request:
    """The command line: options of slurm.pl (``own``), of conf/slurm.conf (``given``), of sbatch (``passed``)."""

    def __init__(self, words: list[str]):
        self.own, self.given, self.passed = dict(OWN), {}, []
        self.tasks: list[int | None] = [None]
        words = list(words)
        while words and (words[0].startswith("-") or words[0].startswith("JOB=")):
            word = words.pop(0)
            if word.startswith("JOB="):
                self.tasks = self._range(word)
                continue
            if not words:
                die(f"option {word} needs a value")
            if word.startswith("--"):
                name, value = word[2:].replace("-", "_"), words.pop(0)
                (self.own if name in OWN else self.given)[name] = value
            else:
                self.passed += [word, words.pop(0)]
        for name in ("gpu", "num_threads", "max_jobs_run", "cpus"):
            value = {**self.own, **self.given}.get(name)
            if value and not re.fullmatch("[0-9]+", value):
                die(f"--gpu, --num-threads, --max-jobs-run and --cpus take whole numbers, got '{value}'")
        if len(words) < 2 and self.own["check"] != "true":
            die("usage: slurm.pl [options] [JOB=1:N] LOG COMMAND ...")
        self.log, self.command = (words[0], words[1:]) if words else ("check.log", ["true"])
        if len(self.tasks) > 1 and "JOB" not in self.log:
            die(f"the log's name must contain JOB, or all jobs would write to {self.log}")
        self.array = self.tasks != [None]

    @staticmethod
    def _range(word: str) -> list[int | None]:
        match = re.fullmatch(r"JOB=([0-9]+)(?::([0-9]+))?", word)
        if not match:
            die(f"write JOB=1:4, not '{word}'")
        first, last = int(match[1]), int(match[2] or match[1])
        if last < first:
            die(f"{word} is an empty range")
        return list(range(first, last + 1))

    def log_of(self, task: int | None) -> Path:
        return Path(self.log if task is None else self.log.replace("JOB", str(task)))

    def conf(self) -> SlurmConf:
        if self.own["config"]:
            return SlurmConf(Path(self.own["config"]))
        local = Path("conf/slurm.conf")
        return SlurmConf(local if local.exists() else HERE.parent / "conf" / "slurm.conf")

    def sbatch(self, conf: SlurmConf) -> list[str]:
        """The command that submits the job."""
        threads = self.given.get("num_threads", "")
        asked = {**self.given, "num_threads": self.own["cpus"] or threads} if threads else self.given
        words = [*conf.command, *conf.arguments(asked), *self.passed]
        output = self.log if self.own["wait"] != "true" else self.log.replace("%", "%%")
        if self.array:
            limit = f"%{self.own['max_jobs_run']}" if self.own["max_jobs_run"] else ""
            words.append(f"--array={self.tasks[0]}-{self.tasks[-1]}{limit}")
            output = output.replace("JOB", "%a")
        if self.own["after"]:
            words += [f"--dependency={self.own['after']}", "--kill-on-invalid-dep=yes"]
        words += ["--parsable", "--open-mode=append", f"--output={output}"]
        if self.own["check"] == "true":
            words.append("--test-only")
        began = self.own["began"] or self._experiment_config()
        gpu = self.given.get("gpu") or conf.defaults.get("gpu", "")
        return [
            *words,
            str(HERE / "slurm_job.py"),
            self.log,
            gpu,
            threads,
            str(int(time.time())),
            began,
            *self.command,
        ]

    def _experiment_config(self) -> str:
        if "--exp" in self.command[:-1]:
            return f"{self.command[self.command.index('--exp') + 1]}/config.yaml"
        return ""
