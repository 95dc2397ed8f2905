"""A new recipe from another one."""

import os
import re
import shutil
import tempfile
from pathlib import Path

import peft_asr
from peft_asr.errors import UserError, nearest

# What makes a recipe. Data, dumps, experiments, results and shipped audio stay where they are.
FILES = ("run.sh", "path.sh", "cmd.sh", "db.sh", "README.md", "local", "conf")
# What recipes leave behind when they run: not worth a word.
MADE = {"data", "dump", "exp", "downloads", "RESULTS.md", "results.jsonl", "results.png"}
LINKS = {"utils": "../../utils"}  # where users of Kaldi and ESPnet look for it
NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]*")


def source_tree() -> Path:
    """The repository that this package is used from.

    Raises:
        UserError: it is installed without its recipes.
    """
    root = Path(peft_asr.__file__).parents[1]
    if not (root / "utils" / "recipe.sh").is_file() or not (root / "egs").is_dir():
        raise UserError(
            f"recipes need the source tree, and {root} is none: clone the repository and use its tools/install.sh "
            "or pip install -e"
        )
    return root


def new_recipe(name: str, source: str, root: Path) -> tuple[Path, list[str]]:
    """Make ``egs/<name>`` from ``egs/<source>``.

    In README.md, and in comments elsewhere, the source's name becomes the new one's; code stays as it is.

    Returns:
        The folder, and what the source has that was not copied.

    Raises:
        UserError: a name that is taken or cannot be one; no such source.
    """
    egs = root / "egs"
    if not NAME.fullmatch(name):
        raise UserError(
            f"'{name}' cannot be a recipe's name; allowed: letters, digits, and after the first also _ . -"
        )
    recipes = sorted(folder.name for folder in egs.iterdir() if (folder / "run.sh").is_file())
    if source not in recipes:
        raise UserError(
            f"--from: there is no recipe '{source}'{nearest(source, recipes)}; allowed: {', '.join(recipes)}"
        )
    if os.path.lexists(egs / name):
        raise UserError(f"egs/{name} exists already and is left as it is; give another name")
    left = []
    try:
        with tempfile.TemporaryDirectory(dir=egs, prefix=f".{name}.tmp-") as temporary:
            folder = Path(temporary) / name
            folder.mkdir()
            for item in sorted((egs / source).iterdir()):
                if item.is_symlink() or item.name in FILES:
                    _copy(item, folder / item.name)
                elif not item.name.startswith(".") and item.name not in MADE | LINKS.keys():
                    left.append(item.name)
            for link, target in LINKS.items():
                if not os.path.lexists(folder / link):
                    (folder / link).symlink_to(target)
            for file in folder.rglob("*"):
                if file.is_file() and not file.is_symlink():
                    _rename(file, source, name)
            folder.rename(egs / name)
    except OSError as err:
        raise UserError(f"cannot write {egs / name}: {err.strerror or err}; nothing was changed") from err
    return egs / name, left


def _copy(item: Path, to: Path) -> None:
    if item.is_dir() and not item.is_symlink():
        shutil.copytree(item, to, symlinks=True, ignore=shutil.ignore_patterns("__pycache__", ".*"))
    else:
        shutil.copy2(item, to, follow_symlinks=False)


def _rename(file: Path, old: str, new: str) -> None:
    """Replace the whole word ``old`` in a README and in lines that are comments."""
    try:
        text = file.read_bytes().decode("utf-8")
    except UnicodeDecodeError:
        return
    word = re.compile(rf"(?<![\w.-]){re.escape(old)}(?![\w-])")
    lines = text.split("\n")
    for index, line in enumerate(lines):
        if file.name == "README.md" or line.lstrip().startswith("#"):
            lines[index] = word.sub(new, line)
    if "\n".join(lines) != text:
        file.write_bytes("\n".join(lines).encode())
