"""From a checkpoint file to an encoder: the family is told by what the file holds."""

import torch

from peft_asr.config import UpstreamConfig
from peft_asr.errors import UserError
from peft_asr.upstream import decoar2, distilhubert, fairseq, wavlm
from peft_asr.upstream.encoder import Encoder
from peft_asr.upstream.geometry import Geometry
from peft_asr.upstream.safe_load import read_checkpoint

_MODULES = {
    "hubert": fairseq, "wav2vec2": fairseq, "data2vec": fairseq, "wavlm": wavlm, "unispeech_sat": wavlm,
    "decoar2": decoar2, "distilhubert": distilhubert,
}  # fmt: skip


def family_module(family: str):
    """The module with ``recognises``, ``build`` and ``to_encoder`` of a family."""
    return _MODULES[family]


def load_checkpoint(path, config: UpstreamConfig, seed: int) -> Encoder:
    """The encoder of a file, with its weights, or random ones of that seed if ``config.random_init``.

    Raises:
        UserError: unsafe, corrupt or unknown checkpoint; weights that are not finite.
    """
    state = read_checkpoint(path, config.trust_pickle)
    module = _module_of(state, str(path))
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        model, geometry = module.build(state, str(path), load_weights=not config.random_init)
    encoder = module.to_encoder(model, geometry, config.padding)
    if not all(tensor.isfinite().all() for tensor in encoder.state_dict().values()):
        raise UserError(f"{path} holds weights that are NaN or infinite; fetch or convert it again")
    return encoder


def checkpoint_geometry(config: UpstreamConfig) -> Geometry:
    """The geometry of the checkpoint file that ``config.ckpt`` names.

    Raises:
        UserError: as ``load_checkpoint``.
    """
    state = read_checkpoint(config.ckpt, config.trust_pickle)
    _, geometry = _module_of(state, config.ckpt).build(state, config.ckpt, load_weights=False)
    return geometry


def _module_of(state: dict, where: str):
    for module in (fairseq, distilhubert, wavlm, decoar2):
        if module.recognises(state):
            return module
    keys = ", ".join(sorted(map(str, state))[:6]) or "nothing"
    raise UserError(
        f"{where} is no checkpoint that is recognised by what it holds ({keys}): s3prl's converted format has "
        "task_cfg, model_cfg and model_weight; for a model that only s3prl itself can read, name its family, e.g. "
        "--upstream apc"
    )
