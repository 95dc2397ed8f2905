"""The geometry of a Hugging Face model: the common one, and the configuration files that the model is built from."""

from dataclasses import dataclass

from peft_asr.upstream.geometry import Geometry


@dataclass(frozen=True)
class HfGeometry(Geometry):
    """What can be known of a Hugging Face model without its weights.

    Waveforms are normalised by the frontend, as the model's feature extractor does it, so ``normalize`` stays False.

    Attributes:
        model_type: of config.json.
        config, extractor: the fields of config.json and of the feature extractor's file that count, as JSON.
        tokens: vectors that one window gives, whatever is in it (AST); 0 where the frames follow the audio.
    """

    model_type: str = ""
    config: str = "{}"
    extractor: str = "{}"
    tokens: int = 0

    def num_frames(self, samples: int) -> int:
        """Frames (AST: tokens of all windows) that so many samples give."""
        if not self.tokens:
            return super().num_frames(samples)
        return self.tokens * -(-samples // self.window_samples) if samples >= self.min_samples else 0
