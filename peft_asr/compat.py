"""Makes ``import torchaudio`` work beside a CPU-only torch, and bitsandbytes silent on a kernel that is not used.

torchaudio's wheels on PyPI ship a native library linked against ``libc10_cuda``. A CPU-only torch has no such
library, so the import dies with ``OSError`` although everything used here (transforms, compliance, resampling)
is plain Python on top of torch. torchaudio itself copes with a *missing* native library; only a present but
unloadable one is fatal. So, and only after that very error, its library finder is told that there is none.

bitsandbytes, which peft imports wherever it is installed, warns of a missing kernel on processors with AVX512-BF16.
The kernel is for weights that are packed for inference in bfloat16, which ``qlora`` forbids (``peft/qlora.py``).

Importing this module applies both: every module that imports torchaudio, s3prl, peft or transformers imports this
one first.
"""

import importlib
import importlib.util
import logging
import sys
from pathlib import Path


def make_torchaudio_importable() -> bool:
    """Import torchaudio, hiding its native library if (and only if) that fails to link.

    Returns:
        True if the native library had to be hidden, False if torchaudio imported as it is or is not installed.

    Raises:
        OSError: torchaudio fails for another reason than its CUDA-linked native library.
    """
    if "torchaudio" in sys.modules:
        return False
    try:
        importlib.import_module("torchaudio")
        return False
    except ModuleNotFoundError as err:
        if err.name == "torchaudio":
            return False
        raise
    except OSError as err:
        if "cuda" not in f"{err} {err.__cause__}":
            raise
    _forget_half_imported()
    # `_load_lib` looks for its files here and returns False when it finds none.
    utils = _import_extension_utils()
    utils._LIB_DIR = Path(utils.__file__).parent / "no_native_library"
    importlib.import_module("torchaudio")
    return True


def _forget_half_imported() -> None:
    for name in [m for m in sys.modules if m == "torchaudio" or m.startswith("torchaudio.")]:
        del sys.modules[name]


def _import_extension_utils():
    """Load ``torchaudio._extension.utils`` alone, without running the packages above it (they are what fails)."""
    package = importlib.util.find_spec("torchaudio")
    path = f"{package.submodule_search_locations[0]}/_extension/utils.py"
    spec = importlib.util.spec_from_file_location("torchaudio._extension.utils", path)
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module
    spec.loader.exec_module(module)
    return module


make_torchaudio_importable()
logging.getLogger("bitsandbytes.backends.cpu.ops").setLevel(logging.ERROR)
