"""The shape of every upstream: what can be known of a model without its weights."""

from dataclasses import dataclass

CONV_BASE = ((512, 10, 5),) + ((512, 3, 2),) * 4 + ((512, 2, 2),) * 2


@dataclass(frozen=True)
class Geometry:
    """Architecture of one upstream.

    Attributes:
        family: whose checkpoint layout it has (hubert, wav2vec2, data2vec, wavlm, ...).
        dim: width D of the layers. ffn: width inside the feed-forward block.
        conv: (channels, kernel, stride) of each layer of the frontend, the first in samples. A spectrogram counts as
            one layer (its bins, window and hop), and keeping every second frame as another: frame counts follow.
        group_norm: the frontend has one group norm after its first convolution (base models); otherwise a layer
            norm after each.
        pre_ln: layer norm before each sub-layer and one more at the end (large models).
        pos_kernel_frames, pos_groups, pos_depth: positional convolution; depth 5 is data2vec's stack.
        normalize: waveforms are brought to zero mean and unit variance, each utterance for itself.
        dropout, attention_dropout, activation_dropout: used only where the backbone itself trains.
        relative_buckets, relative_distance: T5-like relative position bias shared by all layers (WavLM); 0: none.
        gated: each layer gates that bias by its input (WavLM's gated relative position bias).
        k_bias: the key projection has a bias (Whisper's has none).
        predictors: extra hidden states made from the last one (DistilHuBERT: 3).
        window_samples: the model takes windows of exactly this length (Whisper 30 s, AST 10.24 s); 0: any length.
        windowed: longer utterances are cut into such windows instead of refused.
        first_is_projection: hidden state 0 is what enters the positional stage (DistilHuBERT), not what leaves it.
        least_samples: the shortest waveform, where the frontend needs more than one frame's worth.
        no_layers: for models that run through s3prl's own forward, why they have no uniform layers.
        masks_padding: attention hides frames beyond an utterance. False for windowed models, which were trained to
            see them.
    """

    family: str
    dim: int
    ffn: int
    heads: int
    layers: int
    conv: tuple[tuple[int, int, int], ...] = CONV_BASE
    conv_bias: bool = False
    group_norm: bool = True
    pre_ln: bool = False
    pos_kernel_frames: int = 128
    pos_groups: int = 16
    pos_depth: int = 1
    normalize: bool = False
    activation: str = "gelu"
    dropout: float = 0.1
    attention_dropout: float = 0.1
    activation_dropout: float = 0.0
    relative_buckets: int = 0
    relative_distance: int = 0
    gated: bool = False
    k_bias: bool = True
    predictors: int = 0
    window_samples: int = 0
    windowed: bool = False
    masks_padding: bool = True
    first_is_projection: bool = False
    least_samples: int = 0
    no_layers: str = ""

    def num_frames(self, samples: int) -> int:
        """Frames that the convolutions give for so many samples (0 when the utterance is too short)."""
        if samples < self.least_samples:
            return 0
        for _, kernel, stride in self.conv:
            samples = (samples - kernel) // stride + 1 if samples >= kernel else 0
        return samples

    @property
    def min_samples(self) -> int:
        """The shortest waveform that gives one frame (400 samples, 25 ms, for all published models)."""
        samples = 1
        for _, kernel, stride in reversed(self.conv):
            samples = (samples - 1) * stride + kernel
        return max(samples, self.least_samples)

    @property
    def samples_per_frame(self) -> int:
        """The frame shift, in samples."""
        shift = 1
        for _, _, stride in self.conv:
            shift *= stride
        return shift
