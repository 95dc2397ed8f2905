"""torchaudio becomes importable exactly when its CUDA-linked library is what stops it."""

import subprocess
import sys

# A package that behaves as torchaudio does: its import loads a native library through its own finder.
EXTENSION = """
from .utils import _load_lib
AVAILABLE = _load_lib("_torchaudio")
"""
UTILS = """
from pathlib import Path
_LIB_DIR = Path(__file__).parent.parent / "lib"
def _load_lib(lib):
    if not list(_LIB_DIR.glob(f"{lib}*.so")):
        return False
    raise OSError("%s: cannot open shared object file")
"""


def fake_torchaudio(folder, missing: str) -> None:
    package = folder / "torchaudio"
    (package / "_extension").mkdir(parents=True)
    (package / "lib").mkdir()
    (package / "lib" / "_torchaudio.so").write_bytes(b"")
    (package / "__init__.py").write_text("from . import _extension\n")
    (package / "_extension" / "__init__.py").write_text(EXTENSION)
    (package / "_extension" / "utils.py").write_text(UTILS % missing)


def run(folder, program: str) -> subprocess.CompletedProcess:
    code = f"import sys; sys.path.insert(0, {str(folder)!r})\n{program}"
    return subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)


def test_the_cuda_error_is_worked_around(tmp_path):
    fake_torchaudio(tmp_path, "libc10_cuda.so")
    assert run(tmp_path, "import torchaudio").returncode != 0
    done = run(
        tmp_path,
        "from peft_asr import compat\nimport torchaudio\n"
        "assert torchaudio._extension.AVAILABLE is False and compat.make_torchaudio_importable() is False",
    )
    assert done.returncode == 0, done.stderr


def test_another_error_is_left_alone(tmp_path):
    fake_torchaudio(tmp_path, "libsox.so")
    done = run(tmp_path, "from peft_asr import compat")
    assert done.returncode != 0 and "libsox" in done.stderr


def test_a_sound_torchaudio_is_left_alone(tmp_path):
    fake_torchaudio(tmp_path, "libc10_cuda.so")
    (tmp_path / "torchaudio" / "_extension" / "utils.py").write_text("def _load_lib(lib):\n    return True\n")
    done = run(
        tmp_path,
        "from peft_asr import compat\nimport torchaudio\nassert torchaudio._extension.AVAILABLE is True",
    )
    assert done.returncode == 0, done.stderr


def test_the_installed_one_imports():
    done = run(
        "", "from peft_asr import compat\nimport torchaudio.compliance.kaldi, s3prl, peft, transformers"
    )
    assert done.returncode == 0, done.stderr


def test_bitsandbytes_says_nothing_of_a_kernel_that_is_not_used():
    program = """
import logging, sys
logging.basicConfig(format="%(message)s", stream=sys.stdout)
from peft_asr import compat
logger = logging.getLogger("bitsandbytes.backends.cpu.ops")
logger.warning("no kernel")
logger.error("no library")
"""
    assert run("", program).stdout.splitlines() == ["no library"]
