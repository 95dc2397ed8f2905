"""What three published code bases do to their LoRA, as methods: for docs/what_the_papers_trained.md and its tests.

    cd egs/fsdd && ./run.sh --peft tools.paper_code:BypassedLora

The other two defects (both projections of a bottleneck at zero; a convolution that is computed and not used) are the
option ``compat_petl_ast`` of ``bottleneck``.
"""

from peft_asr.peft.lora import Lora
from peft_asr.upstream.encoder import Encoder


class BypassedLora(Lora):
    """LoRA modules beside an attention that takes ``q_proj.weight`` itself: they are never called.

    So in the public code of the SUPERB study (SLT 2022): s3prl's and fairseq's attention hands the weights of its
    four linear maps to a function.
    """

    def inject(self, encoder: Encoder) -> None:
        super().inject(encoder)
        for site in self.sites(encoder):
            wrapped = encoder.get_submodule(site)
            wrapped.forward = wrapped.get_base_layer().forward


class NoGradLora(Lora):
    """LoRA inside an upstream that runs under ``no_grad``, as in the public code of the ML-SUPERB study (2025)."""

    def boundary(self, encoder: Encoder) -> int:
        return len(encoder.layers)
