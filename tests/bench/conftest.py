"""A miniature of the benchmark's surroundings."""

from collections.abc import Iterator

import pytest

from peft_asr.bench import corpus, material
from peft_asr.bench.checkpoint import write_checkpoint
from peft_asr.bench.corpus import write_corpus
from peft_asr.bench.setting import Setting
from peft_asr.bin.main import main


@pytest.fixture(scope="session")
def setting(tmp_path_factory) -> Iterator[Setting]:
    """Tiny geometry, utterances of about half a second, batches of 2 s, one step after one of warm-up."""
    folder = tmp_path_factory.mktemp("bench")
    lengths = folder / "lengths.tsv"
    lengths.write_text(
        "# as the shipped list\n" + "".join(f"x\t{0.4 + 0.05 * i}\n" for i in range(9)), "utf-8"
    )
    chosen = Setting(str(folder), "tiny", threads=1, batch_s=2.0, steps=1, decode_utterances=3)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(corpus, "LENGTHS", lengths)
        write_corpus(chosen)
        write_corpus(chosen.longer(4))
    write_checkpoint(chosen.checkpoint, "tiny", 1)
    with pytest.MonkeyPatch.context() as patch:
        # Dumps are made in this process, because starting one costs more than the dump.
        patch.setattr(material, "_run", run_here)
        yield chosen


def run_here(*arguments: str) -> None:
    """A command in this process; it must succeed."""
    assert main(list(arguments)) == 0
