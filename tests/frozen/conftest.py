"""Sets of noise as stage 2 leaves them, and the commands on them."""

from pathlib import Path

import pytest

from peft_asr.bin.main import main
from peft_asr.text.build import make_tokens
from tests.train.test_run import write_set


class World:
    """A folder with ``train``, ``valid`` and ``tokens``, and a tiny upstream."""

    def __init__(self, folder: Path, checkpoint: str):
        self.folder, self.checkpoint = folder, checkpoint
        self.dumps = folder / "frozen"

    def dump(self, *more: str, peft: str = "lora", dump: str = "auto") -> int:
        """``peft-asr dump-features`` of both sets."""
        return main(
            [
                "dump-features", "--data", f"{self.folder}/train", f"{self.folder}/valid", "--upstream_ckpt",
                self.checkpoint, "--peft", peft, "--dump", dump, "--dump_dir", str(self.dumps), "--ngpu", "0", *more,
            ]
        )  # fmt: skip

    def train(self, exp: str, *more: str, peft: str = "lora", dump: str = "auto", steps: int = 6) -> int:
        """``peft-asr train``, starting where ``dump`` says."""
        return main(
            [
                "train", "--exp", f"{self.folder}/{exp}", "--upstream_ckpt", self.checkpoint, "--peft", peft,
                "--train_dir", f"{self.folder}/train", "--valid_dir", f"{self.folder}/valid",
                "--token_dir", f"{self.folder}/tokens", "--ngpu", "0", "--seed", "3",
                "--dump", dump, "--dump_dir", str(self.dumps), "--set", "data.batch_s=3", "train.lr=1e-2",
                f"train.max_steps={steps}", "train.valid_every=3", "train.save_every=3", *more,
            ]
        )  # fmt: skip

    def sets(self, boundary: str = "layer_0") -> dict[str, Path]:
        """Where the dumps of one boundary lie."""
        return {path.name: path for path in sorted(self.dumps.glob(f"*/{boundary}/*"))}

    def adapter(self, exp: str) -> bytes:
        """The bytes of what was trained."""
        return (self.folder / exp / "adapter" / "adapter.safetensors").read_bytes()


@pytest.fixture
def world(tmp_path, tiny_checkpoint) -> World:
    write_set(tmp_path / "train", 12, seed=1)
    write_set(tmp_path / "valid", 3, seed=2)
    make_tokens(tmp_path / "train" / "text", "char", tmp_path / "tokens")
    return World(tmp_path, tiny_checkpoint)
