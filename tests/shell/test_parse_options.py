"""utils/parse_options.sh: what a recipe's command line may say, and what it answers."""

import subprocess
from pathlib import Path

import pytest

UTILS = Path(__file__).resolve().parents[2] / "utils"

SCRIPT = f"""#!/usr/bin/env bash
# Does a thing.
#
#   ./script.sh --nj 3
set -euo pipefail
nj=4            # parallel jobs
tag=            # appended to the name
peft="lora frozen"  # methods
skip_bad=false  # go on
computed=$(echo no option)
option_aliases=(peft_methods=peft method=peft skip_broken=skip_bad)
. {UTILS}/parse_options.sh
later=1
printf '%s|' "${{nj}}" "${{tag}}" "${{peft}}" "${{skip_bad}}" "$@"
echo "${{given_options[*]}}"
"""


@pytest.fixture
def script(tmp_path):
    path = tmp_path / "script.sh"
    path.write_text(SCRIPT)

    def run(*args: str) -> subprocess.CompletedProcess:
        return subprocess.run(["bash", path, *args], capture_output=True, text=True, cwd=tmp_path)

    return run


@pytest.mark.parametrize(
    ("args", "printed"),
    [
        ([], "4||lora frozen|false|"),
        (["--nj", "8", "--tag", "x y"], "8|x y|lora frozen|false|--nj 8 --tag x y"),
        (["--skip-bad", "true"], "4||lora frozen|true|--skip_bad true"),
        (["--nj", "8", "--nj", "2"], "2||lora frozen|false|--nj 8 --nj 2"),
        (["--peft", ""], "4|||false|--peft "),
        (["--nj", "1", "a b", "--nj", "2"], "1||lora frozen|false|a b|--nj|2|--nj 1"),
        (["--nj", "1", "--", "--nj"], "1||lora frozen|false|--nj|--nj 1"),
        (["--method", "elp"], "4||elp|false|--peft elp"),
        (["--peft-methods", "elp", "--peft", "ia3"], "4||ia3|false|--peft elp --peft ia3"),
    ],
)
def test_values_are_set(script, args, printed):
    result = script(*args)
    assert result.returncode == 0, result.stderr
    assert result.stdout.rstrip("\n") == printed


@pytest.mark.parametrize(
    ("args", "message"),
    [
        (["--njj", "3"], "unknown option --njj (did you mean --nj?); --help lists all"),
        (["--methud", "3"], "unknown option --methud (did you mean --method?); --help lists all"),
        (["--skip_broken", "1"], "--skip_bad takes true or false, got '1'"),
        (["--later", "3"], "unknown option --later; --help lists all"),
        (["--computed", "3"], "unknown option --computed; --help lists all"),
        (["--PATH", "3"], "unknown option --PATH; --help lists all"),
        (["--nj", "many"], "--nj takes a whole number, got 'many'"),
        (["--skip_bad", "1"], "--skip_bad takes true or false, got '1'"),
        (["--nj"], "option --nj needs a value"),
        (["--tag", "--nj", "3"], "option --tag needs a value, got the option --nj"),
        (["--nj=3"], "options are written '--name value': give '--nj 3' instead of '--nj=3'"),
    ],
)
def test_mistakes_are_one_line(script, args, message):
    result = script(*args)
    assert result.returncode == 1
    assert result.stderr == f"script.sh: error: {message}\n"
    assert result.stdout == ""


def test_help_prints_options_defaults_and_comments(script):
    result = script("--nj", "3", "--help")
    assert result.returncode == 0
    lines = result.stdout.splitlines()
    assert lines[:3] == ["Does a thing.", "", "  ./script.sh --nj 3"]
    assert "  --nj               parallel jobs [4]" in lines
    assert "  --tag              appended to the name" in lines
    assert "  --peft             methods (also --peft_methods, --method) [lora frozen]" in lines
    assert not any("computed" in line or "later" in line for line in lines)


def test_config_is_sourced_first(script, tmp_path):
    (tmp_path / "my.conf").write_text('# mine\nnj=16\ntag="from file"\n')
    result = script("--tag", "typed", "--config", "my.conf")
    assert result.stdout == "16|typed|lora frozen|false|--tag typed --config my.conf\n"


def test_config_may_use_other_names(script, tmp_path):
    (tmp_path / "my.conf").write_text("method='from file'\nnj=2\n")
    assert script("--config", "my.conf").stdout.startswith("2||from file|false|")
    assert script("--config", "my.conf", "--peft", "typed").stdout.startswith("2||typed|false|")


def test_what_was_given_is_known(script, tmp_path):
    text = (tmp_path / "script.sh").read_text() + 'echo "${given_names[*]}"\n'
    (tmp_path / "script.sh").write_text(text)
    (tmp_path / "my.conf").write_text("method=elp\n")
    assert script("--nj", "8", "--config", "my.conf").stdout.splitlines()[-1] == "peft nj"
    assert script().stdout.splitlines()[-1] == ""


def test_a_later_default_keeps_the_first_help(tmp_path):
    (tmp_path / "common.sh").write_text("nj=4  # parallel jobs\n")
    (tmp_path / "run.sh").write_text(
        f"option_files=(common.sh)\n. ./common.sh\nnj=9  # because\n. {UTILS}/parse_options.sh\n"
    )
    result = subprocess.run(["bash", "run.sh", "--help"], capture_output=True, text=True, cwd=tmp_path)
    assert "  --nj               parallel jobs [9]" in result.stdout.splitlines()


def test_config_with_an_unknown_name_is_refused(script, tmp_path):
    (tmp_path / "my.conf").write_text("skip_bed=true\n")
    result = script("--config", "my.conf")
    assert result.returncode == 1
    assert "my.conf sets the unknown option 'skip_bed' (did you mean --skip_bad?)" in result.stderr


@pytest.mark.parametrize("name", ["none.conf", "train.yaml"])
def test_config_is_no_training_config(script, tmp_path, name):
    (tmp_path / "train.yaml").write_text("train: {lr: 1}\n")
    result = script("--config", name)
    assert result.returncode == 1
    assert "--train_config" in result.stderr and result.stderr.count("\n") == 1
