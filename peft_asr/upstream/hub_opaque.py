"""The other names of s3prl's hub: models that run through s3prl's own forward (see ``opaque``)."""

from dataclasses import dataclass

from peft_asr.upstream.hub import HubEntry

# The methods that need no layers, by what they need instead: nothing, hidden states, parameters, biases.
WITHOUT_LAYERS = ("frozen", "weighted_sum", "full", "bitfit")
FEATURES = "features"  # the family of what is computed and has no parameter


@dataclass(frozen=True)
class OpaqueFamily:
    """How s3prl builds one family from a file.

    Attributes:
        local: the function of s3prl's hub that takes a checkpoint file; "" where there is none.
        no_layers: why it has no uniform layers, as in ``Geometry.no_layers``.
    """

    local: str
    no_layers: str


_NONE = "is no transformer"
_LATER = "is not yet mapped to the uniform layer"
_RATES = "works at several frame rates, which the uniform layer does not"
_CONFORMER = "is a conformer, which the uniform layer is not"

FAMILIES: dict[str, OpaqueFamily] = {
    FEATURES: OpaqueFamily("", _NONE),
    "apc": OpaqueFamily("apc_local", _NONE),
    "npc": OpaqueFamily("npc_local", _NONE),
    "cpc": OpaqueFamily("cpc_local", _NONE),
    "decoar": OpaqueFamily("decoar_local", _NONE),
    "decoar_layers": OpaqueFamily("decoar_layers_local", _NONE),
    "wav2vec": OpaqueFamily("wav2vec_local", _NONE),
    "tera": OpaqueFamily("tera_local", _LATER),
    "mockingjay": OpaqueFamily("mockingjay_local", _LATER),
    "audio_albert": OpaqueFamily("audio_albert_local", _LATER),
    "mae_ast": OpaqueFamily("mae_ast_local", _LATER),
    "lighthubert": OpaqueFamily("lighthubert_local", _LATER),
    "multires_hubert": OpaqueFamily("multires_hubert_local", _RATES),
    "wav2vec2_conformer": OpaqueFamily("wav2vec2_custom", _CONFORMER),
    # s3prl fetches the files of these by itself, and needs more packages for most of them.
    "espnet_hubert": OpaqueFamily("", _LATER),
    "discretebert": OpaqueFamily("", _LATER),
    "pase": OpaqueFamily("", _NONE),
    "byol": OpaqueFamily("", _NONE),
    "vggish": OpaqueFamily("", _NONE),
    "passt": OpaqueFamily("", _LATER),
    "ast": OpaqueFamily("", _LATER),
    "ssast": OpaqueFamily("", _LATER),
}

_HF = "https://huggingface.co/"
_CONVERTED = _HF + "s3prl/converted_ckpts/resolve/main/"
_APC = _HF + "leo19941227/apc_series/resolve/main/"
_DROPBOX = "https://www.dropbox.com/s/"
_MR = _HF + "s3prl/mr_hubert/resolve/main/"
_MAE = "https://www.cs.utexas.edu/~harwath/model_checkpoints/mae_ast/"
_LIGHT = _HF + "mechanicalsea/lighthubert/resolve/main/"
_CPC = "https://dl.fbaipublicfiles.com/librilight/CPC_checkpoints/"


def _without_url(family: str, *names: str) -> dict[str, HubEntry]:
    entry = (
        HubEntry(family, None, parameters=0, licence=None) if family == FEATURES else HubEntry(family, None)
    )
    return dict.fromkeys(names, entry)


def _at(family: str, base: str, **files: str) -> dict[str, HubEntry]:
    return {name: HubEntry(family, base + file) for name, file in files.items()}


def _states(family: str, **files: str) -> dict[str, HubEntry]:
    return {f"{family}_{name}": HubEntry(family, file) for name, file in files.items()}


OPAQUE: dict[str, HubEntry] = {
    **_without_url(FEATURES, "fbank", "fbank_no_cmvn", "mfcc", "mel", "linear", "spectrogram"),
    **_at("apc", _APC, apc_360hr="apc_360hr.ckpt", apc_960hr="apc_960hr.ckpt"),
    **_at("apc", _APC, vq_apc_360hr="vq_apc_360hr.ckpt", vq_apc_960hr="vq_apc_960hr.ckpt"),
    **_at("npc", _APC, npc_360hr="npc_360hr.ckpt", npc_960hr="npc_960hr.ckpt"),
    **_at("cpc", _CPC, modified_cpc="60k_epoch4-d0f474de.pt"),
    **_at("decoar", _CONVERTED, decoar="checkpoint_decoar.pt"),
    **_at("decoar_layers", _CONVERTED, decoar_layers="checkpoint_decoar.pt"),
    **_at("wav2vec", _CONVERTED, wav2vec_large="wav2vec_large.pt"),
    **_at("wav2vec", _CONVERTED, vq_wav2vec_gumbel="vq-wav2vec.pt", vq_wav2vec_kmeans="vq-wav2vec_kmeans.pt"),
    **_states(
        "tera",
        logMelBase_T_F_AdamW_b32_200k_100hr=_DROPBOX + "o36qt1zgtn3tsep/states-200000.ckpt?dl=1",
        logMelBase_T_F_M_AdamW_b32_200k_100hr=_DROPBOX + "l9ryl82k64m1lsk/states-200000.ckpt?dl=1",
        logMelBase_T_F_AdamW_b32_1m_960hr=_DROPBOX + "98olxex0m7oy9ta/states-1000000.ckpt?dl=1",
        logMelBase_T_F_AdamW_b32_1m_960hr_drop1=_DROPBOX + "2ekbt2gxlkbvfz0/states-1000000.ckpt?dl=1",
        logMelBase_T_F_AdamW_b32_1m_960hr_seq3k=_DROPBOX + "tfysinbalpm3gsj/states-1000000.ckpt?dl=1",
        logMelBase_T_F_M_AdamW_b32_1m_960hr_drop1=_HF
        + "s3prl/tera/resolve/main/tera_logMelBase_T_F_M_AdamW_b32_1m_960hr_drop1/states-1000000.ckpt",
        fbankBase_T_F_AdamW_b32_200k_100hr=_DROPBOX + "i32ob29m6afufot/states-200000.ckpt?dl=1",
    ),
    **_states(
        "mockingjay",
        logMelBase_T_AdamW_b32_200k_100hr=_DROPBOX + "luorglf8mdg67l2/states-200000.ckpt?dl=1",
        logMelLinearLarge_T_AdamW_b32_500k_360hr_drop1=_HF + "s3prl/mockingjay/resolve/main/"
        "mockingjay_logMelLinearLarge_T_AdamW_b32_500k_360hr_drop1/states-500000.ckpt",
        logMelBase_T_AdamW_b32_1m_960hr=_DROPBOX + "jzx0xggk663jev6/states-1000000.ckpt?dl=1",
        logMelBase_T_AdamW_b32_1m_960hr_drop1=_DROPBOX + "7f9z6dzc7oix6qv/states-1000000.ckpt?dl=1",
        logMelBase_T_AdamW_b32_1m_960hr_seq3k=_DROPBOX + "qnnvdrai2tfmjmh/states-1000000.ckpt?dl=1",
    ),
    **_states(
        "audio_albert",
        logMelBase_T_share_AdamW_b32_1m_960hr_drop1=_HF + "s3prl/audio_albert/resolve/main/"
        "audio_albert_logMelBase_T_share_AdamW_b32_1m_960hr_drop1/states-1000000.ckpt",
    ),
    **_at("mae_ast", _MAE, mae_ast_frame="random_frame_75_12LayerEncoder.pt"),
    **_at("mae_ast", _MAE, mae_ast_patch="chunk_patch_75_12LayerEncoder.pt"),
    **_at("lighthubert", _LIGHT, lighthubert_small="lighthubert_small.pt", lighthubert_base="lighthubert_base.pt"),
    **_at("lighthubert", _LIGHT, lighthubert_stage1="lighthubert_stage1.pt"),
    **_at("multires_hubert", _MR, multires_hubert_base="mrhubert_mono_base.pt"),
    **_at("multires_hubert", _MR, multires_hubert_large="mrhubert_mono_large.pt"),
    **_at("multires_hubert", _MR, multires_hubert_multilingual_base="multi_base.pt"),
    **_at("multires_hubert", _MR, multires_hubert_multilingual_large400k="multi_large_400k.pt"),
    **_at("multires_hubert", _MR, multires_hubert_multilingual_large600k="multi_large_600k.pt"),
    **_at(
        "wav2vec2_conformer",
        _CONVERTED,
        wav2vec2_conformer_relpos="LL_relpos_PT_no_FT.pt",
        wav2vec2_conformer_rope="LL_rope_PT_no_FT.pt",
        wav2vec2_conformer_large_s2st_es_voxpopuli="wav2vec2_conformer_large_s2st_es_voxpopuli.pt",
        wav2vec2_conformer_large_s2st_en_librilight="wav2vec2_conformer_large_s2st_en_librilight.pt",
    ),
    **_without_url("espnet_hubert", "cvhubert", "wavlablm_ek_40k", "wavlablm_ms_40k", "wavlablm_mk_40k"),
    **_without_url("espnet_hubert", "espnet_hubert_base_iter0", "espnet_hubert_base_iter1"),
    **_without_url("espnet_hubert", "espnet_hubert_large_gs_ll60k"),
    **_without_url("discretebert", "vq_wav2vec_kmeans_roberta"),
    **_without_url("pase", "pase_plus"),
    **_without_url("byol", "byol_a_512", "byol_a_1024", "byol_a_2048"),
    **_without_url("byol", "byol_s_default", "byol_s_cvt", "byol_s_resnetish34"),
    **_without_url("vggish", "vggish"),
    **_without_url(
        "passt", "passt_base", "passt_base2level", "passt_base2levelmel", "passt_base20sec", "passt_base30sec",
        "passt_hop100base", "passt_hop100base2lvl", "passt_hop100base2lvlmel", "passt_hop160base",
        "passt_hop160base2lvl", "passt_hop160base2lvlmel",
    ),
    **_without_url("ast", "ast"),
    **_without_url("ssast", "ssast_frame_base", "ssast_patch_base"),
}  # fmt: skip

OPAQUE_ALIASES = {
    "baseline": "fbank",
    "apc": "apc_360hr",
    "vq_apc": "vq_apc_360hr",
    "npc": "npc_360hr",
    "cpc": "modified_cpc",
    "wav2vec": "wav2vec_large",
    "vq_wav2vec": "vq_wav2vec_gumbel",
    "discretebert": "vq_wav2vec_kmeans_roberta",
    "tera": "tera_logMelBase_T_F_M_AdamW_b32_1m_960hr_drop1",
    "tera_100hr": "tera_logMelBase_T_F_M_AdamW_b32_200k_100hr",
    "tera_960hr": "tera_logMelBase_T_F_M_AdamW_b32_1m_960hr_drop1",
    "mockingjay": "mockingjay_logMelLinearLarge_T_AdamW_b32_500k_360hr_drop1",
    "mockingjay_origin": "mockingjay_logMelLinearLarge_T_AdamW_b32_500k_360hr_drop1",
    "mockingjay_100hr": "mockingjay_logMelBase_T_AdamW_b32_200k_100hr",
    "mockingjay_960hr": "mockingjay_logMelBase_T_AdamW_b32_1m_960hr_drop1",
    "audio_albert": "audio_albert_logMelBase_T_share_AdamW_b32_1m_960hr_drop1",
    "audio_albert_960hr": "audio_albert_logMelBase_T_share_AdamW_b32_1m_960hr_drop1",
    "lighthubert": "lighthubert_small",
}
