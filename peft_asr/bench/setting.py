"""What both sides of a work share: model geometry, batches, threads, and where the material lies."""

from dataclasses import asdict, dataclass, replace
from pathlib import Path

# In the corpus: about twice what a step takes, so that length classes have some choice.
UTTERANCES_PER_STEP = 6

# With this one the few batches that are counted are padded as much as those of a long run are, ours (5 %) and shuffled
# ones (a third), and hold as many utterances; in most small samples shuffling costs too much or too little.
SEED = 26


@dataclass(frozen=True)
class Setting:
    """One measurement's surroundings.

    Attributes:
        folder: where checkpoints, corpora and dumps lie; it changes no figure.
        geometry: a name of ``checkpoint.GEOMETRIES``.
        device: ``cpu`` or ``cuda``.
        threads: of each process.
        batch_s: seconds of speech in a batch, padding included.
        warmup, steps: training steps that are not counted, and those that are.
        decode_utterances: how many are decoded.
        seed: of weights, audio, transcripts and order.
        utterance_s: all utterances have this length; None: real lengths.
        per_batch: utterances of a corpus with ``utterance_s`` in each batch.
    """

    folder: str
    geometry: str = "base"
    device: str = "cpu"
    threads: int = 2
    batch_s: float = 48.0
    warmup: int = 1
    steps: int = 4
    decode_utterances: int = 24
    seed: int = SEED
    utterance_s: float | None = None
    per_batch: int = 0

    @property
    def utterances(self) -> int:
        """Utterances of the training corpus."""
        if self.utterance_s is not None:
            return self.per_batch * (self.warmup + self.steps)
        return max(60, UTTERANCES_PER_STEP * (self.warmup + self.steps))

    @property
    def checkpoint(self) -> Path:
        """The upstream, in s3prl's converted format."""
        return Path(self.folder) / self.geometry / "upstream.pt"

    @property
    def corpus(self) -> Path:
        """Holds ``train``, ``valid``, ``test`` (as stage 2 leaves them) and ``tokens``."""
        kind = "real" if self.utterance_s is None else f"{self.utterance_s:g}s"
        name = f"corpus_{kind}_{self.utterances}_{self.decode_utterances}_seed{self.seed}"
        return Path(self.folder) / name

    @property
    def dumps(self) -> Path:
        """Root of the feature dumps of this geometry and corpus."""
        return Path(self.folder) / self.geometry / f"dump_{self.corpus.name}"

    def key(self) -> dict:
        """What of it decides a figure."""
        return {name: value for name, value in asdict(self).items() if name != "folder"}

    def longer(self, times: int) -> "Setting":
        """The same with so many times the steps."""
        return replace(self, warmup=self.warmup * times, steps=self.steps * times)

    def uniform(self, utterance_s: float, per_batch: int) -> "Setting":
        """The same with ``per_batch`` utterances of one length in every batch."""
        # A hair more than the sum, lest rounding of seconds to samples splits a batch.
        batch_s = utterance_s * per_batch + 0.01
        return replace(self, utterance_s=utterance_s, per_batch=per_batch, batch_s=batch_s)
