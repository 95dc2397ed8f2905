"""Pre-trained models as one uniform encoder. ``load_upstream`` is the way in."""

import hashlib
import urllib.error
import urllib.request
from pathlib import Path

import torch

from peft_asr.config import UpstreamConfig
from peft_asr.errors import UserError, nearest
from peft_asr.upstream.encoder import Encoder
from peft_asr.upstream.geometry import Geometry
from peft_asr.upstream.hub import MAPPED, MAPPED_ALIASES, SHIPPED, HubEntry
from peft_asr.upstream.hub_opaque import OPAQUE, OPAQUE_ALIASES

__all__ = [
    "Encoder",
    "Geometry",
    "check_obtainable",
    "find_checkpoint",
    "fingerprint",
    "known_names",
    "load_skeleton",
    "load_upstream",
    "named_geometry",
]

HUB: dict[str, HubEntry] = {**MAPPED, **OPAQUE}
ALIASES = {**MAPPED_ALIASES, **OPAQUE_ALIASES}

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
    from peft_asr.upstream.opaque import load_opaque, opaque_name

    if name := opaque_name(config):
        return load_opaque(name, config)
    from peft_asr.upstream.checkpoint import load_checkpoint

    return load_checkpoint(find_checkpoint(config), config, seed)


def load_skeleton(config: UpstreamConfig) -> Encoder:
    """The encoder without weights (meta device), for counting. Models without uniform layers are loaded as they are.

    Raises:
        UserError: as ``load_upstream``; a model whose shape only its checkpoint tells is not on this machine.
    """
    from peft_asr.upstream.checkpoint import checkpoint_geometry
    from peft_asr.upstream.opaque import load_opaque, opaque_name
    from peft_asr.upstream.skeleton import build_skeleton

    if name := opaque_name(config):
        return load_opaque(name, config, download=False)
    if config.ckpt and not config.name.startswith(HF_PREFIX):
        return build_skeleton(checkpoint_geometry(config))
    return build_skeleton(named_geometry(config.name))


def known_names() -> list[str]:
    """Every name that ``upstream.name`` takes without a checkpoint file."""
    return sorted([*SHIPPED, *HUB, *ALIASES])


def named_geometry(name: str) -> Geometry:
    """The geometry of a named upstream, without its weights.

    Raises:
        UserError: unknown name, with the nearest right one; a name whose shape only its checkpoint tells.
    """
    if name.startswith(HF_PREFIX):
        from peft_asr.upstream.hf import hf_geometry

        return hf_geometry(name.removeprefix(HF_PREFIX))
    name = hub_name(name)
    geometry = (SHIPPED.get(name) or HUB[name]).geometry
    if geometry is None:
        raise UserError(f"the shape of the upstream '{name}' is known only from its checkpoint")
    return geometry


def hub_name(name: str) -> str:
    """The full name that a name of the hub, or an alias, stands for.

    Raises:
        UserError: unknown name, with the nearest right one.
    """
    name = ALIASES.get(name, name)
    if name in SHIPPED or name in HUB:
        return name
    usual = ", ".join(sorted([*SHIPPED, *MAPPED]))
    raise UserError(
        f"unknown upstream '{name}'{nearest(name, known_names())}; allowed for --upstream: {usual}, more that "
        "'peft-asr upstreams' lists, hf:DIRECTORY or hf:ORG/NAME, or any name with --upstream_ckpt FILE"
    )


def find_checkpoint(config: UpstreamConfig) -> Path:
    """The checkpoint file: ``upstream.ckpt``, else the shipped one, else s3prl's hub (downloaded once, then cached).

    Raises:
        UserError: unknown name; or the file is neither here nor can be downloaded, saying which file, from where and
            where to put it.
    """
    if config.ckpt:
        return Path(config.ckpt)
    name = hub_name(config.name)
    if name in SHIPPED:
        path = SHIPPED_DIR / name / f"{name}.pt"
        if not path.is_file():
            raise UserError(
                f"the shipped upstream {name} is missing: expected {path}; restore it from the repository"
            )
        return path
    url = HUB[name].url
    path = cached_path(url)
    if path.is_file():
        return path
    from s3prl.util import download

    try:
        download._urls_to_filepaths(url)
    except Exception as err:  # urllib, requests and sockets raise many unrelated types
        raise _no_file(name, url, path, err) from err
    return path


def check_obtainable(config: UpstreamConfig, timeout_s: float = 10.0) -> None:
    """Make sure that ``find_checkpoint`` can succeed, without downloading: the file is here, or its host answers.

    Names without a file of their own are left to ``load_upstream``.

    Raises:
        UserError: as ``find_checkpoint``.
    """
    if config.name.startswith(HF_PREFIX) or config.ckpt:
        return  # the skeleton has been made from it
    name = hub_name(config.name)
    url = None if name in SHIPPED else HUB[name].url
    if name in SHIPPED:
        find_checkpoint(config)
    if url is None or (path := cached_path(url)).is_file():
        return
    try:
        urllib.request.urlopen(urllib.request.Request(url, method="HEAD"), timeout=timeout_s).close()
    except urllib.error.HTTPError:
        pass  # there is somebody, who may still give the file to s3prl
    except Exception as err:  # as in find_checkpoint
        raise _no_file(name, url, path, err) from err


def _no_file(name: str, url: str, path: Path, err: Exception) -> UserError:
    return UserError(
        f"cannot download the upstream {name} ({type(err).__name__}): fetch {url} on a machine with a network "
        f"and put it at {path}, or pass it with --upstream_ckpt FILE"
    )


def cached_path(url: str) -> Path:
    """Where s3prl keeps the file of a URL once it has fetched it."""
    from s3prl.util import download

    return Path(download._urls_to_filepaths(url, download=False))


def fingerprint(encoder: Encoder) -> str:
    """SHA-256 over names, shapes and bytes of the pre-trained tensors: what an adapter belongs to.

    Call it before a method is injected.
    """
    digest = hashlib.sha256()
    tensors = encoder.state_dict()
    if encoder.mask_emb is not None:
        tensors["mask_emb"] = encoder.mask_emb
    for name in sorted(tensors):
        tensor = tensors[name].detach().cpu().contiguous()
        digest.update(f"{name} {tuple(tensor.shape)} {tensor.dtype}\n".encode())
        digest.update(tensor.reshape(-1).view(torch.uint8).numpy())
    return digest.hexdigest()
