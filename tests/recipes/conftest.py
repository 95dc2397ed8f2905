"""A copy of a recipe in a temporary tree, so that no test writes into egs/."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]


class Recipe:
    """``egs/<name>`` in a tree of its own, with the repository's code."""

    def __init__(self, name: str, tree: Path):
        self.folder = tree / "egs" / name
        shutil.copytree(
            ROOT / "egs" / name,
            self.folder,
            symlinks=True,
            ignore=shutil.ignore_patterns(
                "data", "dump", "exp", "downloads", "audio", "RESULTS.md", "results.jsonl"
            ),
        )
        for shared in ("utils", "conf", "peft_asr", "tools"):
            (tree / shared).symlink_to(ROOT / shared)

    def __call__(self, *args: object, script: str = "./run.sh") -> subprocess.CompletedProcess:
        """Run a script of the recipe with these arguments."""
        return subprocess.run(
            [script, *map(str, args)], cwd=self.folder, capture_output=True, text=True, env=self.environment()
        )

    def environment(self) -> dict[str, str]:
        """The interpreter of the tests, whether its environment was activated or not."""
        prefix = Path(sys.executable).parent
        return {**os.environ, "PATH": f"{prefix}:{os.environ['PATH']}", "VIRTUAL_ENV": str(prefix.parent)}


@pytest.fixture(scope="module")
def make_recipe(tmp_path_factory):
    """name -> Recipe."""
    return lambda name: Recipe(name, tmp_path_factory.mktemp(name))
