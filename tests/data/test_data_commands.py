"""The commands of stages 1 and 2, and their shell faces."""

import subprocess
from pathlib import Path

import pytest

from peft_asr.bin.main import main
from peft_asr.data.tables import read_table, write_table
from peft_asr.text.tokenizer import Tokenizer
from tests.data.helpers import make_dir

UTILS = Path(__file__).parents[2] / "utils"


@pytest.fixture
def source(tmp_path):
    return make_dir(tmp_path / "data", {"s-a": "one", "s-b": "two"})


def shell(name, *arguments):
    return subprocess.run([UTILS / name, *map(str, arguments)], capture_output=True, text=True)


def test_validate_a_good_directory(source, capsys):
    assert main(["validate-data-dir", str(source)]) == 0
    assert capsys.readouterr().out == f"{source}: a valid data directory\n"


def test_validate_lists_every_problem(source, capsys):
    (source / "text").write_bytes(b"s-b two\r\ns-a one\r\ns-z three\r\n")
    assert main(["validate-data-dir", str(source)]) == 1
    lines = capsys.readouterr().err.splitlines()
    assert lines == [
        f"{source}/text:1: Windows line end (CRLF), as in 3 lines",
        f"{source}/text:2: not sorted (LC_ALL=C): 's-a' comes after 's-b'; out of place: 1 line",
        f"{source}/text:3: unknown utterance 's-z': it is not in {source}/wav.scp",
        f"{source}: 3 problems; utils/fix_data_dir.sh {source} repairs most of it",
    ]


def test_validate_counts_one_problem_as_one(source, capsys):
    (source / "text").write_bytes(b"s-b two\ns-a one\n")
    assert main(["validate-data-dir", str(source)]) == 1
    assert f"{source}: 1 problem; utils/fix_data_dir.sh {source} repairs" in capsys.readouterr().err


def test_a_pipe_alone_is_not_for_fix_data_dir(source, capsys):
    (source / "wav.scp").write_text(f"s-a {source}/audio/s-a.wav\ns-b cat x.wav |\n")
    assert main(["validate-data-dir", str(source)]) == 1
    assert capsys.readouterr().err.splitlines() == [
        f"{source}/wav.scp:2: 's-b' is a command (cat x.wav |), one of 1; commands run only with --allow_pipes true",
        f"{source}: 1 problem",
    ]
    (source / "text").write_bytes(b"s-b two\ns-a one\n")
    assert main(["validate-data-dir", str(source)]) == 1
    assert f"2 problems; utils/fix_data_dir.sh {source} repairs" in capsys.readouterr().err


def test_validate_shows_the_first_fifty(source, capsys):
    write_table(source / "text", {f"z-{n:03d}": "x" for n in range(98)})
    assert main(["validate-data-dir", str(source)]) == 1
    lines = capsys.readouterr().err.splitlines()
    assert len(lines) == 52 and lines[-2] == "... and 50 more"
    assert lines[-1].startswith(f"{source}: 100 problems; ")


def test_fix(source, capsys):
    (source / "text").write_bytes(b"s-b two\r\ns-z three\r\n")
    assert main(["fix-data-dir", str(source)]) == 0
    assert capsys.readouterr().out == f"{source}: kept 1 of 2 utterances\n"


def test_dump_then_tokens(source, tmp_path):
    out = tmp_path / "dump" / "set"
    assert main(["dump-audio", "--data", str(source), "--out", str(out), "--nj", "1", "--min_s", "0.1"]) == 0
    assert (
        main(["tokens", "--text", str(out / "text"), "--type", "char", "--out", str(tmp_path / "tokens")])
        == 0
    )
    assert Tokenizer.load(tmp_path / "tokens").tokens[2:] == ["e", "n", "o", "t", "w"]


def test_bad_input_is_one_line(source, tmp_path, capsys):
    (source / "audio" / "s-b.wav").write_bytes(b"")
    arguments = ["dump-audio", "--data", str(source), "--out", str(tmp_path / "out")]
    assert main(arguments) == 1
    (line,) = capsys.readouterr().err.splitlines()
    assert line == (
        f"peft-asr dump-audio: error: 1 of 2 utterances of {source} are bad, listed in "
        f"{tmp_path}/out/bad_utts.txt: s-b: {source}/audio/s-b.wav: the file is empty (0 bytes); "
        "repair them, or leave them out with --skip_bad true"
    )
    assert main([*arguments, "--skip_bad", "true"]) == 0
    assert read_table(tmp_path / "out" / "text") == {"s-a": "one"}


def test_shell_validate(source):
    good = shell("validate_data_dir.sh", "--no-feats", source)
    assert (good.returncode, good.stdout) == (0, f"{source}: a valid data directory\n")
    (source / "text").unlink()
    bad = shell("validate_data_dir.sh", source)
    assert bad.returncode == 1 and f"{source} has no text\n" in bad.stderr
    assert shell("validate_data_dir.sh", "--no-text", source).returncode == 0
    assert shell("validate_data_dir.sh").returncode == 2
    wrong = shell("validate_data_dir.sh", "--sort", source)
    assert wrong.returncode == 2 and "unknown option --sort" in wrong.stderr


def test_shell_fix(source):
    (source / "text").write_bytes(b"s-b two\ns-a one\n")
    fixed = shell("fix_data_dir.sh", source)
    assert (fixed.returncode, fixed.stdout) == (0, f"{source}: kept 2 of 2 utterances\n")
    assert (source / "text").read_bytes() == b"s-a one\ns-b two\n"
    assert (source / ".backup" / "text").is_file()
