"""``qlora``: LoRA on linear maps whose frozen weights are held in 4 bits.

Dettmers et al., 2023 (https://arxiv.org/abs/2305.14314); the number format and its arithmetic are bitsandbytes'.
"""

from dataclasses import dataclass

import torch
from torch import Tensor, nn

from peft_asr.errors import UserError
from peft_asr.peft.lora import LowRank, LowRankOptions
from peft_asr.peft.registry import register
from peft_asr.upstream.encoder import Encoder
from peft_asr.upstream.layer import LINEAR_MAPS


@dataclass
class QloraOptions(LowRankOptions):
    """Options of ``qlora``; ``layers`` and ``targets`` say where LoRA is, quantised are all six maps of every layer."""

    alpha: float = 32.0
    double_quant: bool = True  # the scales of the blocks are quantised too


@register("qlora")
class Qlora(LowRank):
    """Q(W) x + (alpha / r) B A x, Q being nf4 in blocks of 64: 294,912 parameters on a base model.

    Q(W) is not W, so the start is near the pre-trained model only. Merging gives plain maps of Q(W) + (alpha / r) B A,
    every one of them dequantised. Where LoRA is on the upper layers alone, the lower ones are quantised as well: their
    outputs are not the upstream's, so nothing above ``layer:0`` counts as the frozen upstream.

    The six maps of every layer, scales included, take 0.129 of their float32 bytes (0.141 without double quantisation).
    All else stays in float32, a tenth of a base model's parameters, so the whole model takes 0.216 (0.227).

    A block is 64 weights of a row. Where rows are no multiple of it, bitsandbytes' kernel for CPUs with AVX-512 takes
    scales of other blocks (0.50), so the weights are coarser than they should be; the rows of published upstreams are.
    """

    Options = QloraOptions
    identity_at_start = False

    def sites(self, encoder: Encoder) -> set[str]:
        return set(_all_maps(encoder))

    def boundary(self, encoder: Encoder) -> int:
        return 0

    def inject(self, encoder: Encoder) -> None:
        super().inject(encoder)
        for site in _all_maps(encoder):
            module = encoder.get_submodule(site)
            quantised = _quantise(getattr(module, "base_layer", module), self.options.double_quant)
            encoder.set_submodule(f"{site}.base_layer" if hasattr(module, "base_layer") else site, quantised)

    @torch.no_grad()
    def merge(self, encoder: Encoder) -> None:
        for site in _all_maps(encoder):
            module = encoder.get_submodule(site)
            if hasattr(module, "base_layer"):
                module.base_layer = _dequantise(module.base_layer)
            else:
                encoder.set_submodule(site, _dequantise(module))
        super().merge(encoder)


def map_bytes(encoder: Encoder) -> tuple[int, int]:
    """Bytes of the linear maps' weights (scales and code books included) as they are held, and as float32."""
    held = plain = 0
    for site in _all_maps(encoder):
        module = encoder.get_submodule(site)
        linear = getattr(module, "base_layer", module)
        plain += 4 * linear.in_features * linear.out_features
        state = getattr(linear.weight, "quant_state", None)
        parts = [linear.weight, *(state.as_dict().values() if state is not None else ())]
        held += sum(part.numel() * part.element_size() for part in parts if isinstance(part, Tensor))
    return held, plain


def _all_maps(encoder: Encoder) -> list[str]:
    return [f"layers.{i}.{name}" for i in range(len(encoder.layers)) for name in LINEAR_MAPS]


def _quantise(linear: nn.Linear, double: bool) -> nn.Linear:
    """The same map with its weight in nf4; the bias stays what it is. On the meta device shapes alone."""
    try:
        import bitsandbytes as bnb
    except ImportError as err:
        raise UserError('--peft qlora needs bitsandbytes: pip install "peft_asr[quant]"') from err

    quantised = bnb.nn.Linear4bit(
        linear.in_features,
        linear.out_features,
        bias=False,
        compute_dtype=torch.float32,  # otherwise the first input's type stays for good, autocast or not
        compress_statistics=double,
        quant_type="nf4",
        device="meta",
    )
    settings = {
        "requires_grad": False,
        "quant_type": "nf4",
        "compress_statistics": double,
        "module": quantised,
    }
    if linear.weight.is_meta:
        packed = torch.empty((linear.weight.numel() + 1) // 2, 1, dtype=torch.uint8, device="meta")
        quantised.weight = bnb.nn.Params4bit(packed, bnb_quantized=True, **settings)
    else:
        weight = bnb.nn.Params4bit(linear.weight.detach(), **settings)
        quantised.weight = weight.to(linear.weight.device)  # quantises
    quantised.bias = linear.bias
    # With AVX512-BF16 bitsandbytes would repack weights at the first evaluation and compute in bfloat16 from then on.
    quantised.support_avx512bf16_for_cpu = False
    return quantised.eval()


def _dequantise(linear: nn.Linear) -> nn.Linear:
    import bitsandbytes as bnb

    plain = nn.Linear(linear.in_features, linear.out_features, bias=False, device="meta")
    weight = bnb.functional.dequantize_4bit(linear.weight.data, linear.weight.quant_state)
    plain.weight = nn.Parameter(weight.to(torch.float32), requires_grad=False)
    plain.bias = linear.bias
    return plain.eval()
