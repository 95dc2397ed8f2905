"""Which model of the Hugging Face hub holds the same weights as a name of s3prl's hub, and whether one really does."""

from peft_asr import compat  # noqa: F401  transformers imports torchaudio
from peft_asr.errors import UserError
from peft_asr.export.names import Names, tensors_of
from peft_asr.upstream import ALIASES
from peft_asr.upstream.encoder import Encoder

BASES = {
    "hubert_base": "facebook/hubert-base-ls960",
    "hubert_large_ll60k": "facebook/hubert-large-ll60k",
    "wav2vec2_base_960": "facebook/wav2vec2-base",
    "wav2vec2_large_960": "facebook/wav2vec2-large",
    "wav2vec2_large_ll60k": "facebook/wav2vec2-large-lv60",
    "wav2vec2_large_lv60_cv_swbd_fsh": "facebook/wav2vec2-large-robust",
    "xlsr_53": "facebook/wav2vec2-large-xlsr-53",
    "xls_r_300m": "facebook/wav2vec2-xls-r-300m",
    "xls_r_1b": "facebook/wav2vec2-xls-r-1b",
    "xls_r_2b": "facebook/wav2vec2-xls-r-2b",
    "data2vec_base_960": "facebook/data2vec-audio-base",
    "data2vec_large_ll60k": "facebook/data2vec-audio-large",
    "wavlm_base": "microsoft/wavlm-base",
    "wavlm_base_plus": "microsoft/wavlm-base-plus",
    "wavlm_large": "microsoft/wavlm-large",
}
TOLERANCE = 1e-6


def known_base(upstream: str) -> str | None:
    """The hub's name of an upstream's counterpart, where there is one."""
    return BASES.get(ALIASES.get(upstream, upstream))


def check_base(encoder: Encoder, base: str) -> None:
    """Compare every tensor of a plain encoder with a model of transformers, by name or directory.

    Raises:
        UserError: it cannot be had, or it is another model.
    """
    from transformers import AutoModel

    try:
        theirs = AutoModel.from_pretrained(base).state_dict()
    except (OSError, ValueError, KeyError) as err:
        raise UserError(
            f"--base {base} cannot be loaded ({str(err).splitlines()[0][:160]}); it takes a model directory of "
            "transformers, or a name of the hub where there is a network"
        ) from err
    names = Names(encoder)
    for name, tensor in tensors_of(encoder).items():
        key = names.to_hf(name)
        other = theirs.get(key)
        if other is None or other.shape != tensor.shape:
            found = "missing" if other is None else f"{tuple(other.shape)}"
            raise UserError(
                f"--base {base} is another model: its '{key}' is {found}, and the upstream's is {tuple(tensor.shape)}"
            )
        difference = (other.float() - tensor.float()).abs().max().item()
        if (
            difference > TOLERANCE and name != "mask_emb"
        ):  # which not every conversion kept, and no output needs
            raise UserError(
                f"--base {base} is another model: its '{key}' differs from the upstream's by {difference:.1e}; the "
                "adapter would not work on it"
            )


def strip_methods(encoder: Encoder) -> None:
    """Take the wrappers of huggingface/peft off, so that the pre-trained maps stand alone again. In place."""
    from peft.tuners.tuners_utils import BaseTunerLayer

    for name, module in list(encoder.named_modules()):
        if isinstance(module, BaseTunerLayer):
            encoder.set_submodule(name, module.get_base_layer())
