"""DeCoAR 2.0: filter banks into a transformer. Ling and Liu, 2020 (https://arxiv.org/abs/2012.06659).

s3prl ignores the keys of a file that do not fit, so that a file of anything loads and leaves random weights. Here
every tensor that the model needs must be there.
"""

import torch
from torch import Tensor, nn
from torch.nn.utils.rnn import pad_sequence

from peft_asr import compat  # noqa: F401  for torchaudio
from peft_asr.errors import UserError
from peft_asr.upstream.encoder import Encoder
from peft_asr.upstream.frontend import check_lengths
from peft_asr.upstream.geometry import Geometry
from peft_asr.upstream.skeleton import blank_model
from peft_asr.upstream.transformer import frames_by_convolution, transformer_parts

_HEADS = 12  # the only thing that neither the file nor its tensors' shapes tell
_PROJECTION, _FIRST, _POSITION = (
    "post_extract_proj.weight",
    "encoder.layers.0.fc1.weight",
    "encoder.pos_conv.0.weight_v",
)


def recognises(state: dict) -> bool:
    """``model`` alone, without a configuration."""
    return "model" in state and not {"cfg", "config"} & set(state)


def build(state: dict, where: str, load_weights: bool = True) -> tuple[nn.Module, Geometry]:
    """The model of a checkpoint (``read_checkpoint``), made of our own modules, and its geometry.

    The tensors become the model's parameters themselves.

    Raises:
        UserError: a tensor is missing or has a wrong shape.
    """
    weights = state["model"] if isinstance(state["model"], dict) else {}
    geometry = _geometry_of(weights, where)
    model = blank_model(geometry)
    if load_weights:
        try:
            found = model.load_state_dict(weights, strict=False, assign=True)
        except (RuntimeError, TypeError, AttributeError) as err:
            raise UserError(f"{where} is no DeCoAR 2.0 model: {' '.join(str(err).split())[:300]}") from err
        if found.missing_keys:
            raise _missing(found.missing_keys, where)
    return model, geometry


def _geometry_of(weights: dict, where: str) -> Geometry:
    missing = [name for name in (_PROJECTION, _FIRST, _POSITION) if getattr(weights.get(name), "ndim", 0) < 2]
    if missing:
        raise _missing(missing, where)
    dim, bins = weights[_PROJECTION].shape
    if dim % _HEADS:
        raise UserError(
            f"{where} is no DeCoAR 2.0 model: its width {dim} is not a multiple of {_HEADS} heads"
        )
    layers = {name.split(".")[2] for name in weights if name.startswith("encoder.layers.")}
    return Geometry(
        family="decoar2",
        dim=dim,
        ffn=weights[_FIRST].shape[0],
        heads=_HEADS,
        layers=len(layers),
        conv=((bins, 400, 160), (bins, 1, 2)),  # windows of 25 ms every 10 ms, every second kept
        group_norm=False,
        pos_kernel_frames=weights[_POSITION].shape[2],
        pos_groups=max(1, dim // weights[_POSITION].shape[1]),
        least_samples=560,  # one frame has no variance to normalise by
    )


def _missing(names: list[str], where: str) -> UserError:
    more = f" and {len(names) - 3} more" if len(names) > 3 else ""
    return UserError(f"{where} is no DeCoAR 2.0 model: it lacks {', '.join(names[:3])}{more}")


def to_encoder(model: nn.Module, geometry: Geometry, padding: str = "exact") -> Encoder:
    """The modules as an encoder. s3prl pads behind the filter banks and masks, so both kinds of ``padding`` agree."""
    return Encoder(
        geometry=geometry,
        frontend=FilterBanks(geometry),
        projection=model.post_extract_proj,
        mask_emb=None,
        frame_lengths=frames_by_convolution,
        **transformer_parts(model.encoder, geometry, padding == "exact"),
    )


class FilterBanks(nn.Module):
    """Kaldi's log mel filter banks, normalised over each utterance, every second frame kept (20 ms)."""

    def __init__(self, geometry: Geometry):
        super().__init__()
        self.geometry = geometry

    def forward(self, wavs: Tensor, lengths: Tensor) -> Tensor:
        """wavs: (B, N); lengths: (B,) samples. Returns (B, T, bins), zero beyond each utterance.

        Raises:
            UserError: an utterance is too short for two frames.
        """
        check_lengths(lengths, self.geometry)
        # Spectra need float32, whatever the precision of training is.
        with torch.autocast(wavs.device.type, enabled=False):
            pairs = zip(wavs.float(), lengths.tolist(), strict=True)
            return pad_sequence([self._one(wav[:n]) for wav, n in pairs], batch_first=True)

    def _one(self, wav: Tensor) -> Tensor:
        from torchaudio.compliance import kaldi

        bins = self.geometry.conv[0][0]
        x = kaldi.fbank(wav[None], num_mel_bins=bins, sample_frequency=16000, window_type="hamming")
        x = (x - x.mean(dim=0)) / (x.std(dim=0) + 1e-10)
        return x[::2]
