"""``new_directory``: a directory that is whole or absent."""

import os
import stat

import pytest

from peft_asr.errors import UserError
from peft_asr.files import new_directory


def test_it_appears_whole_and_readable(tmp_path):
    (tmp_path / "out").mkdir()  # an empty one may stand there
    umask = os.umask(0o022)
    try:
        with new_directory(tmp_path / "out") as folder:
            (folder / "inner").mkdir()
            (folder / "inner" / "file").write_text("x")
            (folder / "inner" / "file").chmod(0o600)
            assert not any((tmp_path / "out").iterdir())
    finally:
        os.umask(umask)
    assert (tmp_path / "out" / "inner" / "file").read_text() == "x"
    assert stat.S_IMODE((tmp_path / "out" / "inner" / "file").stat().st_mode) == 0o644
    assert stat.S_IMODE((tmp_path / "out").stat().st_mode) == 0o755
    assert [path.name for path in tmp_path.iterdir()] == ["out"]


def test_an_error_leaves_nothing(tmp_path):
    with pytest.raises(ZeroDivisionError), new_directory(tmp_path / "out") as folder:
        (folder / "file").write_text("x")
        raise ZeroDivisionError
    assert not any(tmp_path.iterdir())


def test_what_stands_there_stays(tmp_path):
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "mine").write_text("x")
    with (
        pytest.raises(UserError, match="out exists already and is left as it is"),
        new_directory(tmp_path / "out"),
    ):
        pass
    with pytest.raises(UserError, match="exists already"), new_directory(tmp_path / "out" / "mine"):
        pass
    assert (tmp_path / "out" / "mine").read_text() == "x"


def test_a_place_that_cannot_be_written(tmp_path):
    (tmp_path / "file").write_text("x")
    with pytest.raises(UserError, match="cannot write .*file/out"), new_directory(tmp_path / "file" / "out"):
        pass
