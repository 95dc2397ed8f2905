"""The papers' counts of trainable parameters, and ours beside them, of every method and preset."""

import math
import tempfile
from dataclasses import dataclass
from pathlib import Path

from omegaconf import OmegaConf

from peft_asr import peft
from peft_asr.config import PeftConfig, UpstreamConfig
from peft_asr.errors import UserError
from peft_asr.upstream import Encoder, load_skeleton

TABLE = Path(__file__).with_name("published_counts.yaml")
AST = "ast"  # transformers' ASTConfig has the shape of the AudioSet model by default


@dataclass(frozen=True)
class PublishedCount:
    """One figure, or a method that no paper counts.

    Attributes:
        config: the method.
        paper: where it is from. upstream: what it was counted on.
        printed: as the paper prints it; None where it does not.
        expected: trainable parameters of our encoder on that upstream, the head's left out.
        letters: the share is of the model with a linear head of so many outputs; 0: of the upstream alone.
    """

    config: PeftConfig
    paper: str
    upstream: str
    printed: str | None
    expected: int
    letters: int = 0

    @property
    def name(self) -> str:
        """The method with its options, as they are typed."""
        options = [f"{p}.{k}={v}" for p, given in self.config.options.items() for k, v in given.items()]
        return " ".join([self.config.spec, *options]).replace("True", "true").replace(", ", ",")


def published_counts() -> list[PublishedCount]:
    """Every row of the table, in its order."""
    return [
        PublishedCount(
            PeftConfig(spec, options),
            group["paper"],
            group["upstream"],
            printed,
            expected,
            group.get("letters", 0),
        )
        for group in OmegaConf.to_container(OmegaConf.load(TABLE))
        for spec, options, printed, expected in group["rows"]
    ]


def published_table(upstream: UpstreamConfig | None = None) -> list[dict]:
    """Rows of ``peft``, ``paper``, ``upstream``, ``printed``, ``ours`` and ``share``.

    The share is of the upstream's parameters; where the paper's is, of the adapted model with its head.

    Args:
        upstream: count everything on this one; None: each row on its own. Where a method does not fit it, ``ours``
            and ``share`` are None.

    Raises:
        UserError: unknown upstream.
    """
    encoders = {} if upstream is None else {upstream.name: load_skeleton(upstream)}
    rows = []
    for published in published_counts():
        name = published.upstream if upstream is None else upstream.name
        if name not in encoders:
            encoders[name] = skeleton_of(name)
        methods = peft.resolve(published.config)
        try:
            ours = sum(peft.count(encoders[name], methods).values())
            share = _share(encoders[name], methods, published.letters)
        except UserError:  # raised by the check against this encoder
            ours = share = None
        row = {
            "peft": published.name,
            "paper": published.paper,
            "upstream": name,
            "printed": published.printed,
        }
        rows.append({**row, "ours": ours, "share": share})
    return rows


def _share(encoder: Encoder, methods: list[peft.Method], letters: int) -> float:
    """What trains, of the upstream; with a head, of everything: upstream, head and what the methods add."""
    upstreams = {name: p.numel() for name, p in encoder.named_parameters()}
    trains = sum(peft.count(encoder, methods).values())
    if not letters:
        return trains / max(sum(upstreams.values()), 1)
    head = letters * (encoder.dim + 1)
    shapes = {name: shape for method in methods for name, shape in method.declare(encoder).items()}
    added = sum(math.prod(shape) for name, shape in shapes.items() if name not in upstreams)
    return (trains + head) / (sum(upstreams.values()) + head + added)


def skeleton_of(upstream: str) -> Encoder:
    """The encoder of an upstream of the table, without weights.

    Raises:
        UserError: unknown name.
    """
    if upstream != AST:
        return load_skeleton(UpstreamConfig(name=upstream))
    from transformers import ASTConfig, ASTFeatureExtractor

    with tempfile.TemporaryDirectory() as folder:
        ASTConfig().save_pretrained(folder)
        ASTFeatureExtractor().save_pretrained(folder)
        return load_skeleton(UpstreamConfig(name=f"hf:{folder}"))
