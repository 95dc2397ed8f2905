"""The names of s3prl's hub whose models have uniform layers: shape, file, size and licence of each."""

from dataclasses import dataclass, replace

from peft_asr.upstream.geometry import Geometry


@dataclass(frozen=True)
class HubEntry:
    """One name of the hub.

    Attributes:
        family: as in ``Geometry.family``.
        url: where s3prl downloads its file from; None where there is none or s3prl collects several by itself.
        geometry: its shape; None where only the checkpoint tells it.
        parameters: how many the last hidden state depends on (what ``full`` trains).
        licence: of the weights, as their publishers state it; "unknown" where no statement was found, None where
            there are none.
    """

    family: str
    url: str | None
    geometry: Geometry | None = None
    parameters: int | None = None
    licence: str | None = "unknown"


_CONVERTED = "https://huggingface.co/s3prl/converted_ckpts/resolve/main/"


def _entries(geometry: Geometry, parameters: int, licence: str, **files: str) -> dict[str, HubEntry]:
    urls = {name: file if "://" in file else _CONVERTED + file for name, file in files.items()}
    return {name: HubEntry(geometry.family, url, geometry, parameters, licence) for name, url in urls.items()}


_BASE = Geometry("hubert", dim=768, ffn=3072, heads=12, layers=12)
_LARGE = Geometry(
    "hubert", dim=1024, ffn=4096, heads=16, layers=24, group_norm=False, pre_ln=True, normalize=True, dropout=0.0,
    attention_dropout=0.0,
)  # fmt: skip
_W2V_BASE = replace(_BASE, family="wav2vec2")
_W2V_LARGE = replace(_LARGE, family="wav2vec2", conv_bias=True)
_W2V_LARGE_960 = replace(
    _W2V_LARGE, conv_bias=False, group_norm=True, pre_ln=False, normalize=False, dropout=0.1
)
_D2V_BASE = replace(
    _BASE, family="data2vec", group_norm=False, normalize=True, pos_kernel_frames=95, pos_depth=5
)
_RELATIVE = {"family": "wavlm", "relative_buckets": 320, "relative_distance": 800, "gated": True}
_DECOAR2 = replace(
    _BASE, family="decoar2", conv=((80, 400, 160), (80, 1, 2)), group_norm=False, least_samples=560
)
_DISTIL = replace(
    _BASE, family="distilhubert", layers=2, predictors=3, first_is_projection=True, activation_dropout=0.1
)

# Licences: fairseq's README extends its MIT licence to its pre-trained models, and torchaudio redistributes HuBERT,
# wav2vec 2.0, XLS-R and WavLM under MIT; the rest as their model cards or repositories say.
_MIT, _APACHE, _NON_COMMERCIAL, _UNKNOWN = "MIT", "Apache-2.0", "CC-BY-NC-4.0", "unknown"

# The names are those of s3prl's hub; the URLs those of its hubconf files.
MAPPED: dict[str, HubEntry] = {
    **_entries(_BASE, 94_370_944, _MIT, hubert_base="hubert_base_ls960.pt"),
    **_entries(_BASE, 94_370_944, _MIT, mhubert_base_vp_en_es_fr_it3="mhubert_base_vp_en_es_fr_it3.pt"),
    **_entries(
        _BASE, 94_370_944, _UNKNOWN,
        hubert_base_robust_mgr="HuBERT_base_robust_mgr_best_loss_2.7821.pt",
        contentvec_km100="contentvec_km100.pt",
        contentvec_km500="contentvec_km500.pt",
        ms_hubert="https://huggingface.co/s3prl/MS-HuBERT/resolve/main/iter3.pt",
    ),
    **_entries(_LARGE, 315_434_112, _MIT, hubert_large_ll60k="hubert_large_ll60k.pt"),
    **_entries(_W2V_BASE, 94_370_944, _MIT, wav2vec2_base_960="wav2vec_small.pt"),
    **_entries(
        _W2V_BASE, 94_370_944, _UNKNOWN,
        wav2vec2_base_s2st_es_voxpopuli="wav2vec2_base_s2st_es_voxpopuli.pt",
        wav2vec2_base_s2st_en_librilight="wav2vec2_base_s2st_en_librilight.pt",
    ),
    **_entries(_W2V_LARGE_960, 315_427_968, _MIT, wav2vec2_large_960="libri960_big.pt"),
    **_entries(
        _W2V_LARGE, 315_437_696, _MIT,
        wav2vec2_large_ll60k="wav2vec_vox_new.pt",
        wav2vec2_large_lv60_cv_swbd_fsh="w2v_large_lv_fsh_swbd_cv.pt",
        xlsr_53="xlsr_53_56k.pt",
        xls_r_300m="xlsr2_300m.pt",
    ),
    **_entries(_W2V_LARGE, 315_437_696, _NON_COMMERCIAL, wav2vec2_large_voxpopuli_100k="wav2vec2_large_100k.pt"),
    **_entries(replace(_W2V_LARGE, dim=1280, ffn=5120, layers=48), 962_496_128, _MIT, xls_r_1b="xlsr2_960m_1000k.pt"),
    **_entries(replace(_W2V_LARGE, dim=1920, ffn=7680, layers=48), 2_159_257_728, _MIT, xls_r_2b="xlsr2_2B_1000k.pt"),
    **_entries(_D2V_BASE, 93_163_520, _MIT, data2vec_base_960="audio_base_ls.pt"),
    **_entries(
        replace(_D2V_BASE, dim=1024, ffn=4096, heads=16, layers=24), 313_275_392, _MIT,
        data2vec_large_ll60k="vox_pretrained.pt",
    ),
    **_entries(
        replace(_BASE, **_RELATIVE), 94_381_168, _MIT, wavlm_base="wavlm_base.pt", wavlm_base_plus="wavlm_base_plus.pt"
    ),
    **_entries(replace(_LARGE, **_RELATIVE), 315_452_096, _MIT, wavlm_large="wavlm_large.pt"),
    **_entries(
        replace(_BASE, family="unispeech_sat"), 94_370_944, _UNKNOWN,
        unispeech_sat_base="unispeech_sat_base.pt",
        unispeech_sat_base_plus="unispeech_sat_base_plus.pt",
    ),
    **_entries(
        replace(_LARGE, family="unispeech_sat"), 315_434_112, _UNKNOWN, unispeech_sat_large="unispeech_sat_large.pt"
    ),
    **_entries(_DECOAR2, 89_837_696, _APACHE, decoar2="checkpoint_decoar2.pt"),
    **_entries(
        _DISTIL, 23_491_200, _APACHE,
        distilhubert_base="https://huggingface.co/leo19941227/distilhubert/resolve/main/distilhubert_ls960_4-8-12.ckpt",
    ),
}  # fmt: skip

# s3prl's own short names, and some that people type.
MAPPED_ALIASES = {
    "hubert": "hubert_base",
    "hubert_large": "hubert_large_ll60k",
    "mhubert": "mhubert_base_vp_en_es_fr_it3",
    "contentvec": "contentvec_km100",
    "wav2vec2": "wav2vec2_base_960",
    "wav2vec2_base": "wav2vec2_base_960",
    "wav2vec2_large": "wav2vec2_large_ll60k",
    "xlsr53": "xlsr_53",
    "xlsr_128": "xls_r_300m",
    "xlsr_300m": "xls_r_300m",
    "data2vec": "data2vec_base_960",
    "data2vec_large": "data2vec_large_ll60k",
    "wavlm": "wavlm_base_plus",
    "wavlm_plus": "wavlm_base_plus",
    "unispeech_sat": "unispeech_sat_base_plus",
    "distilhubert": "distilhubert_base",
}

# Models that ship with the project (upstreams/<name>/<name>.pt), small enough to run anywhere.
SHIPPED: dict[str, HubEntry] = {
    "mini_hubert": HubEntry(
        "hubert",
        None,
        replace(
            _BASE,
            dim=256,
            ffn=512,
            heads=4,
            layers=6,
            conv=((32, 10, 5),) + ((64, 3, 2),) * 2 + ((128, 3, 2),) * 2 + ((128, 2, 2),) * 2,
            pos_kernel_frames=64,
        ),
        3_616_960,
        "research use",  # as one of its corpora; upstreams/mini_hubert/PROVENANCE.md
    ),
}
