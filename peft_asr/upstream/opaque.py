"""Models of s3prl without uniform layers (APC, CPC, filter banks, TERA, ...): s3prl's own forward runs them.

``frozen``, ``weighted_sum``, ``full`` and ``bitfit`` work on them; methods that need layers say so.
"""

import contextlib
import logging
import os
import sys
import warnings

from torch import nn

from peft_asr import compat  # noqa: F401  s3prl imports torchaudio
from peft_asr.config import UpstreamConfig
from peft_asr.errors import UserError
from peft_asr.upstream.encoder import Encoder
from peft_asr.upstream.hub_opaque import FAMILIES, FEATURES, OPAQUE, OPAQUE_ALIASES
from peft_asr.upstream.opaque_encoder import FAILURES, OpaqueEncoder


def opaque_name(config: UpstreamConfig) -> str:
    """The name in ``OPAQUE`` that a config means, or "".

    ``<family>_local`` with a checkpoint file means that family.
    """
    name = OPAQUE_ALIASES.get(config.name, config.name)
    if name in OPAQUE:
        return name
    families = {family.local: key for key, family in FAMILIES.items() if family.local}
    if config.ckpt and config.name in families:
        return next(name for name, entry in OPAQUE.items() if entry.family == families[config.name])
    return ""


def load_opaque(name: str, config: UpstreamConfig, download: bool = True) -> Encoder:
    """The encoder of a name in ``OPAQUE``.

    Args:
        download: False: a file that is not on this machine is an error.

    Raises:
        UserError: s3prl would unpickle a file and ``config.trust_pickle`` is not set; no file; s3prl cannot build the
            model (a package that it needs is missing, or the file is another model's); ``random_init``.
    """
    entry = OPAQUE[name]
    family = FAMILIES[entry.family]
    if config.random_init:
        raise UserError(
            f"upstream.random_init works where the layers are uniform; '{name}' {family.no_layers}"
        )
    if entry.family == FEATURES and config.ckpt:
        raise UserError(f"'{name}' is computed and has no checkpoint; leave out --upstream_ckpt")
    if config.ckpt and not family.local:
        raise UserError(f"'{name}' takes no checkpoint file: s3prl fetches its files by itself")
    if entry.family != FEATURES and not config.trust_pickle:
        raise UserError(
            f"the file of '{name}' is read by s3prl's own code, which can run code from it; if you trust its author, "
            "pass upstream.trust_pickle=true"
        )
    path = _find(name, config, download)
    with _quiet():
        try:
            expert = _build(name, path)
            label = name if entry.family == FEATURES else entry.family
            encoder = OpaqueEncoder(expert, entry.family, label, config.padding == "exact")
        except FAILURES as err:
            lines = str(err).strip().splitlines() or [type(err).__name__]
            raise UserError(
                f"s3prl cannot run '{name}'{f' from {path}' if path else ''}: {lines[0][:200]}"
            ) from err
    encoder.name = config.name
    return encoder


def _find(name: str, config: UpstreamConfig, download: bool) -> str:
    from peft_asr.upstream import cached_path, find_checkpoint

    url = OPAQUE[name].url
    if config.ckpt and not os.path.isfile(config.ckpt):
        raise UserError(f"no upstream checkpoint at {config.ckpt} (--upstream_ckpt)")
    if config.ckpt or url is None:
        return config.ckpt or ""
    if not download and not cached_path(url).is_file():
        raise UserError(
            f"the shape of '{name}' is known only from its checkpoint, which is not here: fetch {url} and pass it with "
            "--upstream_ckpt FILE"
        )
    return str(find_checkpoint(config))


def _build(name: str, path: str) -> nn.Module:
    import s3prl.hub

    with _full_unpickling():
        if not path:
            return getattr(s3prl.hub, name)()
        return getattr(s3prl.hub, FAMILIES[OPAQUE[name].family].local)(path)


@contextlib.contextmanager
def _full_unpickling():
    """The file is trusted by now, and s3prl does not say weights_only=False wherever it needs it."""
    switch = "TORCH_FORCE_NO_WEIGHTS_ONLY_LOAD"
    before = os.environ.get(switch)
    os.environ[switch] = "1"
    try:
        yield
    finally:
        del os.environ[switch]
        if before is not None:
            os.environ[switch] = before


@contextlib.contextmanager
def _quiet():
    """s3prl reports on standard output, logs its configurations, and uses what torch has deprecated.

    Its hub warns that ESPnet is missing whatever is asked for; who asks for ESPnet's models gets that as an error.
    """
    logging.getLogger("s3prl").setLevel(logging.WARNING)
    logging.getLogger("s3prl.upstream.espnet_hubert.expert").setLevel(logging.ERROR)
    with contextlib.redirect_stdout(sys.stderr), warnings.catch_warnings():
        warnings.simplefilter("ignore")
        yield
