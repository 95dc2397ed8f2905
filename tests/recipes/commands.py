"""What a dry run would train: one line of its output for each experiment."""

import shlex
from subprocess import CompletedProcess


def trainings(result: CompletedProcess) -> list[dict[str, str]]:
    """The options of every ``peft-asr train`` that a dry run has printed, in order."""
    assert result.returncode == 0, result.stdout + result.stderr
    found = []
    for line in result.stdout.splitlines():
        words = shlex.split(line) if line.startswith("    ") else []
        if "train" in words and "--exp" in words:
            names = [place for place, word in enumerate(words) if word.startswith("--")]
            ends = [*names[1:], len(words)]
            options = zip(names, ends, strict=True)
            found.append({words[at][2:]: " ".join(words[at + 1 : end]) for at, end in options})
    return found
