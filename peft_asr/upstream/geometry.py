"""The shape of every upstream: what can be known of a model without its weights."""

from dataclasses import dataclass, replace

CONV_BASE = ((512, 10, 5),) + ((512, 3, 2),) * 4 + ((512, 2, 2),) * 2


@dataclass(frozen=True)
class Geometry:
    """Architecture of one transformer upstream of the fairseq family.

    Attributes:
        family: whose checkpoint layout it has (hubert, wav2vec2, data2vec).
        dim: width D of the layers. ffn: width inside the feed-forward block.
        conv: (channels, kernel, stride) of each layer of the convolutional frontend, in samples.
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

    def num_frames(self, samples: int) -> int:
        """Frames that the convolutions give for so many samples (0 when the utterance is too short for one)."""
        for _, kernel, stride in self.conv:
            samples = (samples - kernel) // stride + 1 if samples >= kernel else 0
        return samples

    @property
    def min_samples(self) -> int:
        """The shortest waveform that gives one frame (400 samples, 25 ms, for all published models)."""
        samples = 1
        for _, kernel, stride in reversed(self.conv):
            samples = (samples - 1) * stride + kernel
        return samples

    @property
    def samples_per_frame(self) -> int:
        """The frame shift, in samples."""
        shift = 1
        for _, _, stride in self.conv:
            shift *= stride
        return shift


_BASE = Geometry("hubert", dim=768, ffn=3072, heads=12, layers=12)
_LARGE = Geometry(
    "hubert", dim=1024, ffn=4096, heads=16, layers=24, group_norm=False, pre_ln=True, normalize=True, dropout=0.0,
    attention_dropout=0.0,
)  # fmt: skip
_W2V_BASE = replace(_BASE, family="wav2vec2")
_W2V_LARGE = replace(_LARGE, family="wav2vec2", conv_bias=True)
_D2V_BASE = replace(
    _BASE, family="data2vec", group_norm=False, normalize=True, pos_kernel_frames=95, pos_depth=5
)

_HF = "https://huggingface.co/s3prl/converted_ckpts/resolve/main/"


@dataclass(frozen=True)
class HubEntry:
    """One name of s3prl's hub: its shape, and where s3prl downloads its converted checkpoint from."""

    geometry: Geometry
    url: str


# The names are those of s3prl's hub; the URLs those of its hubconf files.
HUB: dict[str, HubEntry] = {
    "hubert_base": HubEntry(_BASE, _HF + "hubert_base_ls960.pt"),
    "hubert_large_ll60k": HubEntry(_LARGE, _HF + "hubert_large_ll60k.pt"),
    "hubert_base_robust_mgr": HubEntry(_BASE, _HF + "HuBERT_base_robust_mgr_best_loss_2.7821.pt"),
    "mhubert_base_vp_en_es_fr_it3": HubEntry(_BASE, _HF + "mhubert_base_vp_en_es_fr_it3.pt"),
    "contentvec": HubEntry(_BASE, _HF + "contentvec_km100.pt"),
    "contentvec_km100": HubEntry(_BASE, _HF + "contentvec_km100.pt"),
    "contentvec_km500": HubEntry(_BASE, _HF + "contentvec_km500.pt"),
    "wav2vec2_base_960": HubEntry(_W2V_BASE, _HF + "wav2vec_small.pt"),
    "wav2vec2_large_960": HubEntry(
        replace(_W2V_LARGE, conv_bias=False, group_norm=True, pre_ln=False, normalize=False, dropout=0.1),
        _HF + "libri960_big.pt",
    ),
    "wav2vec2_large_ll60k": HubEntry(_W2V_LARGE, _HF + "wav2vec_vox_new.pt"),
    "wav2vec2_large_lv60_cv_swbd_fsh": HubEntry(_W2V_LARGE, _HF + "w2v_large_lv_fsh_swbd_cv.pt"),
    "xlsr_53": HubEntry(_W2V_LARGE, _HF + "xlsr_53_56k.pt"),
    "xls_r_300m": HubEntry(_W2V_LARGE, _HF + "xlsr2_300m.pt"),
    "xls_r_1b": HubEntry(replace(_W2V_LARGE, dim=1280, ffn=5120, layers=48), _HF + "xlsr2_960m_1000k.pt"),
    "xls_r_2b": HubEntry(replace(_W2V_LARGE, dim=1920, ffn=7680, layers=48), _HF + "xlsr2_2B_1000k.pt"),
    "data2vec_base_960": HubEntry(_D2V_BASE, _HF + "audio_base_ls.pt"),
    "data2vec_large_ll60k": HubEntry(
        replace(_D2V_BASE, dim=1024, ffn=4096, heads=16, layers=24), _HF + "vox_pretrained.pt"
    ),
}

ALIASES = {
    "hubert": "hubert_base",
    "wav2vec2": "wav2vec2_base_960",
    "data2vec": "data2vec_base_960",
}

# Models that ship with the project (upstreams/<name>/<name>.pt), small enough to run anywhere.
SHIPPED: dict[str, Geometry] = {
    "mini_hubert": Geometry(
        "hubert",
        dim=256,
        ffn=512,
        heads=4,
        layers=6,
        conv=((32, 10, 5),) + ((64, 3, 2),) * 2 + ((128, 3, 2),) * 2 + ((128, 2, 2),) * 2,
        pos_kernel_frames=64,
    ),
}
