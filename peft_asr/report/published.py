"""The papers' counts of trainable parameters, and ours beside them."""

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
    """One figure.

    Attributes:
        config: the method.
        paper: where it is from. upstream: what it was counted on.
        printed: as the paper prints it; None where it does not.
        expected: trainable parameters of our encoder on that upstream, the head's left out.
    """

    config: PeftConfig
    paper: str
    upstream: str
    printed: str | None
    expected: int

    @property
    def name(self) -> str:
        """The method with its options, as they are typed."""
        options = [f"{p}.{k}={v}" for p, given in self.config.options.items() for k, v in given.items()]
        return " ".join([self.config.spec, *options]).replace("True", "true").replace(", ", ",")


def published_counts() -> list[PublishedCount]:
    """Every row of the table, in its order."""
    return [
        PublishedCount(PeftConfig(spec, options), group["paper"], group["upstream"], printed, expected)
        for group in OmegaConf.to_container(OmegaConf.load(TABLE))
        for spec, options, printed, expected in group["rows"]
    ]


def published_table(upstream: UpstreamConfig | None = None) -> list[dict]:
    """Rows of ``peft``, ``paper``, ``upstream``, ``printed``, ``ours`` and ``share`` of the upstream's parameters.

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
        except UserError:  # raised by the check against this encoder
            ours = None
        total = sum(p.numel() for p in encoders[name].parameters())
        row = {
            "peft": published.name,
            "paper": published.paper,
            "upstream": name,
            "printed": published.printed,
        }
        rows.append({**row, "ours": ours, "share": ours if ours is None else ours / max(total, 1)})
    return rows


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
