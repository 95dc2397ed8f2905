"""Pre-trained models as one uniform encoder. ``load_upstream`` is the way in."""

import hashlib
from pathlib import Path

import torch

from peft_asr.config import UpstreamConfig
from peft_asr.errors import UserError, nearest
from peft_asr.upstream.encoder import Encoder
from peft_asr.upstream.geometry import ALIASES, HUB, SHIPPED, Geometry

__all__ = [
    "Encoder",
    "Geometry",
    "find_checkpoint",
    "fingerprint",
    "known_names",
    "load_upstream",
    "named_geometry",
]

HF_PREFIX = "hf:"  # hf:PATH or hf:ORGANISATION/MODEL is a Hugging Face model
SHIPPED_DIR = Path(__file__).resolve().parents[2] / "upstreams"


def load_upstream(config: UpstreamConfig, seed: int = 0) -> Encoder:
    """Load a pre-trained upstream as an encoder, every parameter frozen.

    Args:
        config: name, checkpoint, padding.
        seed: of the weights when ``config.random_init`` is set.

    Raises:
        UserError: unknown name, no file and no network, unsafe or corrupt checkpoint.
    """
    for key, allowed in (("padding", ("exact", "s3prl")), ("long_audio", ("refuse", "window"))):
        if getattr(config, key) not in allowed:
            raise UserError(
                f"upstream.{key} takes '{allowed[0]}' or '{allowed[1]}', got '{getattr(config, key)}'"
            )
    if config.name.startswith(HF_PREFIX):
        from peft_asr.upstream.hf import load_hf

        return load_hf(config, seed)
    from peft_asr.upstream.fairseq import build_s3prl_model, encoder_from_s3prl, geometry_of
    from peft_asr.upstream.safe_load import read_checkpoint

    path = find_checkpoint(config)
    state = read_checkpoint(path, config.trust_pickle)
    if not all(t.isfinite().all() for t in state["model_weight"].values() if isinstance(t, torch.Tensor)):
        raise UserError(f"{path} holds weights that are NaN or infinite; fetch or convert it again")
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        model, task = build_s3prl_model(state, where=str(path), load_weights=not config.random_init)
    return encoder_from_s3prl(model, geometry_of(model, task), config.padding)


def known_names() -> list[str]:
    """Every name that ``upstream.name`` takes without a checkpoint file."""
    return sorted([*SHIPPED, *HUB, *ALIASES])


def named_geometry(name: str) -> Geometry:
    """The geometry of a named upstream, without its weights.

    Raises:
        UserError: unknown name, with the nearest right one.
    """
    if name.startswith(HF_PREFIX):
        from peft_asr.upstream.hf import hf_geometry

        return hf_geometry(name.removeprefix(HF_PREFIX))
    name = ALIASES.get(name, name)
    if name in SHIPPED:
        return SHIPPED[name]
    if name in HUB:
        return HUB[name].geometry
    raise UserError(
        f"unknown upstream '{name}'{nearest(name, known_names())}; allowed for --upstream: {', '.join(known_names())}; "
        "or any name with --upstream_ckpt FILE"
    )


def find_checkpoint(config: UpstreamConfig) -> Path:
    """The checkpoint file: ``upstream.ckpt``, else the shipped one, else s3prl's hub (downloaded once, then cached).

    Raises:
        UserError: unknown name; or the file is neither here nor can be downloaded, saying which file, from where and
            where to put it.
    """
    if config.ckpt:
        return Path(config.ckpt)
    name = ALIASES.get(config.name, config.name)
    named_geometry(name)
    if name in SHIPPED:
        path = SHIPPED_DIR / name / f"{name}.pt"
        if not path.is_file():
            raise UserError(
                f"the shipped upstream {name} is missing: expected {path}; restore it from the repository"
            )
        return path
    from s3prl.util import download

    from peft_asr import compat  # noqa: F401  s3prl imports torchaudio

    url = HUB[name].url
    path = Path(download._urls_to_filepaths(url, download=False))
    if not path.is_file():
        try:
            download._urls_to_filepaths(url)
        except Exception as err:  # urllib, requests and sockets raise many unrelated types
            raise UserError(
                f"cannot download the upstream {name} ({type(err).__name__}): fetch {url} on a machine with a network "
                f"and put it at {path}, or pass it with --upstream_ckpt FILE"
            ) from err
    return path


def fingerprint(encoder: Encoder) -> str:
    """SHA-256 over names, shapes and bytes of the pre-trained tensors: what an adapter belongs to.

    Call it before a method is injected.
    """
    digest = hashlib.sha256()
    tensors = {**encoder.state_dict(), "mask_emb": encoder.mask_emb}
    for name in sorted(tensors):
        tensor = tensors[name].detach().cpu().contiguous()
        digest.update(f"{name} {tuple(tensor.shape)} {tensor.dtype}\n".encode())
        digest.update(tensor.reshape(-1).view(torch.uint8).numpy())
    return digest.hexdigest()
