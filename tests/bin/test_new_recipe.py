"""peft-asr new-recipe: what is copied, what is renamed, what is refused."""

import os
import shutil
from pathlib import Path

import pytest

import peft_asr
from peft_asr.bin.main import main

ROOT = Path(peft_asr.__file__).resolve().parents[1]


@pytest.fixture
def tree(tmp_path, monkeypatch):
    """A source tree with one recipe that has been run."""
    recipe = tmp_path / "egs" / "old_one"
    files = {
        "run.sh": "#!/bin/bash\n# old_one: a corpus; not old_one_more or old_one-2\necho old_one\n",
        "README.md": "# old_one\n\n    cd egs/old_one && ./run.sh\n",
        "db.sh": "CORPUS=downloads\n",
        "local/data.sh": "#!/bin/bash\n  # of old_one\n",
        "local/deep/table.tsv": "old_one\t# old_one\n",
        "conf/train.yaml": "head: {}  # old_one\n",
        "local/__pycache__/x.pyc": "x",
        "data/train/text": "a b\n",
        "dump/x": "x",
        "exp/x": "x",
        "RESULTS.md": "x",
        "results.jsonl": "x",
        "audio/a.flac": "x",
    }
    for name, text in files.items():
        (recipe / name).parent.mkdir(parents=True, exist_ok=True)
        (recipe / name).write_text(text)
    (recipe / "run.sh").chmod(0o755)
    (recipe / "steps").symlink_to("../old_one/local")
    (tmp_path / "utils").mkdir()
    (tmp_path / "utils" / "recipe.sh").write_text("")
    (tmp_path / "peft_asr").mkdir()
    monkeypatch.setattr(peft_asr, "__file__", str(tmp_path / "peft_asr" / "__init__.py"))
    return tmp_path


def test_what_is_copied(tree, capsys):
    assert main(["new-recipe", "mine", "--from", "old_one"]) == 0
    new = tree / "egs" / "mine"
    found = {str(p.relative_to(new)) for p in new.rglob("*") if not p.is_dir() or p.is_symlink()}
    assert found == {
        "run.sh", "README.md", "db.sh", "local/data.sh", "local/deep/table.tsv", "conf/train.yaml", "steps", "utils"
    }  # fmt: skip
    assert os.readlink(new / "utils") == "../../utils" and os.readlink(new / "steps") == "../old_one/local"
    assert os.access(new / "run.sh", os.X_OK) and not os.access(new / "db.sh", os.X_OK)
    out = capsys.readouterr().out
    assert "not copied from egs/old_one: audio;" in out
    assert (
        out.index("edit next:")
        < out.index("db.sh  ")
        < out.index("local/data.sh  ")
        < out.index("README.md  ")
    )
    assert f"cd {new} && ./run.sh" in out


def test_the_name_changes_in_prose_not_in_code(tree):
    main(["new-recipe", "mine", "--from", "old_one"])
    new = tree / "egs" / "mine"
    assert (new / "README.md").read_text() == "# mine\n\n    cd egs/mine && ./run.sh\n"
    assert (new / "run.sh").read_text() == (
        "#!/bin/bash\n# mine: a corpus; not old_one_more or old_one-2\necho old_one\n"
    )
    assert (new / "local" / "data.sh").read_text() == "#!/bin/bash\n  # of mine\n"
    assert (new / "local" / "deep" / "table.tsv").read_text() == "old_one\t# old_one\n"


@pytest.mark.parametrize(
    ("args", "message"),
    [
        (
            ["old_one", "--from", "old_one"],
            "egs/old_one exists already and is left as it is; give another name",
        ),
        (
            ["a b", "--from", "old_one"],
            "'a b' cannot be a recipe's name; allowed: letters, digits, and after",
        ),
        (["../x", "--from", "old_one"], "'../x' cannot be a recipe's name"),
        ([".x", "--from", "old_one"], "'.x' cannot be a recipe's name"),
        (
            ["x", "--from", "old-one"],
            "there is no recipe 'old-one' (did you mean 'old_one'?); allowed: old_one",
        ),
        (["x"], "there is no recipe 'TEMPLATE'; allowed: old_one"),
    ],
)
def test_refused(tree, capsys, args, message):
    assert main(["new-recipe", *args]) == 1
    err = capsys.readouterr().err
    assert message in err and err.count("\n") == 1
    assert [p.name for p in (tree / "egs").iterdir()] == ["old_one"]


def test_an_installation_without_recipes(tree, capsys):
    shutil.rmtree(tree / "egs")
    assert main(["new-recipe", "mine"]) == 1
    assert (
        f"recipes need the source tree, and {tree} is none: clone the repository" in capsys.readouterr().err
    )


def test_every_recipe_links_to_utils():
    recipes = [folder for folder in (ROOT / "egs").iterdir() if (folder / "run.sh").is_file()]
    assert {"TEMPLATE", "custom"} <= {folder.name for folder in recipes}
    for folder in recipes:
        assert os.readlink(folder / "utils") == "../../utils", folder
