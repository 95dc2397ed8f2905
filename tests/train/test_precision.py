"""bfloat16 where the hardware has it, a warning where it was asked for in vain."""

import logging

import pytest
import torch

from peft_asr.errors import UserError
from peft_asr.train import precision
from peft_asr.train.precision import autocast, autocast_dtype, has_native_bfloat16, pick_device

CPU = torch.device("cpu")


@pytest.mark.parametrize(
    "line,native",
    [
        ("flags\t\t: fpu avx avx2 fma", False),
        ("flags\t\t: fpu avx512f avx512_bf16 amx_tile", True),
        ("flags\t\t: fpu amx_bf16", True),
        ("Features\t: fp asimd bf16 i8mm", True),
        ("model name\t: a bf16 machine", False),
    ],
)
def test_processor_flags(tmp_path, line, native):
    cpuinfo = tmp_path / "cpuinfo"
    cpuinfo.write_text(f"processor\t: 0\n{line}\nbugs\t\t: none\n")
    assert has_native_bfloat16(CPU, str(cpuinfo)) is native


def test_a_system_that_does_not_tell_has_none(tmp_path):
    assert has_native_bfloat16(CPU, str(tmp_path / "missing")) is False


@pytest.mark.parametrize("native", [True, False])
def test_choice_of_dtype(monkeypatch, caplog, native):
    monkeypatch.setattr(precision, "has_native_bfloat16", lambda device: native)
    assert autocast_dtype("float32", CPU) is None
    assert autocast_dtype("auto", CPU) is (torch.bfloat16 if native else None)
    assert not caplog.records
    with caplog.at_level(logging.WARNING):
        assert autocast_dtype("bfloat16", CPU) is torch.bfloat16
    assert [r.getMessage() for r in caplog.records] == (
        []
        if native
        else ["train.dtype=bfloat16: this cpu has no bfloat16 arithmetic, so it will be slower than float32"]
    )


def test_autocast_reaches_matrix_products_only_when_on():
    a = torch.randn(4, 4)
    with autocast(CPU, torch.bfloat16):
        assert (a @ a).dtype is torch.bfloat16
    with autocast(CPU, None):
        assert (a @ a).dtype is torch.float32


def test_device(monkeypatch):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    assert pick_device("auto") == CPU and pick_device("0") == CPU
    with pytest.raises(UserError, match="--ngpu 1: torch sees no CUDA device"):
        pick_device("1")
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 2)
    assert pick_device("auto").type == "cuda" and pick_device("0") == CPU
    with pytest.raises(
        UserError, match="--ngpu 3: torch sees only 2 CUDA device on this machine; give --ngpu 2"
    ):
        pick_device("3")
    monkeypatch.setenv("LOCAL_RANK", "1")
    assert pick_device("2") == torch.device("cuda:1")
