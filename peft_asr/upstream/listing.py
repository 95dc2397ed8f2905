"""The table of named upstreams, without building any of them."""

from peft_asr.upstream import ALIASES, HUB, SHIPPED, SHIPPED_DIR, cached_path
from peft_asr.upstream.hub import HubEntry
from peft_asr.upstream.hub_opaque import FEATURES, WITHOUT_LAYERS

_SAMPLE_RATE_HZ = 16000  # of every upstream here


def list_upstreams() -> list[dict]:
    """One row a name, shipped models first.

    Each has name, aliases, family, layers, width, parameters (those the last hidden state depends on), rate_hz,
    licence, where (``shipped``, ``cached``, ``download``, ``computed``, or ``s3prl`` for files that s3prl fetches by
    itself), url, file and methods. What only a checkpoint tells is None.
    """
    return [_row(name, entry) | _source(name, entry) for name, entry in {**SHIPPED, **HUB}.items()]


def _row(name: str, entry: HubEntry) -> dict:
    geometry = entry.geometry
    return {
        "name": name,
        "aliases": [alias for alias, target in ALIASES.items() if target == name],
        "family": entry.family,
        "layers": geometry.layers if geometry else None,
        "width": geometry.dim if geometry else None,
        "parameters": entry.parameters,
        "rate_hz": _SAMPLE_RATE_HZ,
        "licence": entry.licence,
        "methods": "all" if geometry else ", ".join(_fitting(entry.family)),
    }


def _fitting(family: str) -> tuple[str, ...]:
    """Filter banks and their like have no parameter that could train."""
    return WITHOUT_LAYERS[:2] if family == FEATURES else WITHOUT_LAYERS


def _source(name: str, entry: HubEntry) -> dict:
    if name in SHIPPED:
        return {"where": "shipped", "url": None, "file": str(SHIPPED_DIR / name / f"{name}.pt")}
    if entry.url is None:
        return {"where": "computed" if entry.family == FEATURES else "s3prl", "url": None, "file": None}
    path = cached_path(entry.url)
    return {"where": "cached" if path.is_file() else "download", "url": entry.url, "file": str(path)}
