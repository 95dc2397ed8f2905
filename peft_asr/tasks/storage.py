"""How a model is kept while it trains: frozen weights in the type that the forward pass multiplies in."""

import torch
from torch import nn

from peft_asr.upstream.encoder import Encoder
from peft_asr.upstream.layer import LINEAR_MAPS


def halve_frozen(encoder: Encoder, dtype: torch.dtype | None) -> int:
    """Keep the layers' frozen linear maps in ``dtype``, in place; returns how many bytes that saves.

    Autocast would cast them anew for every batch, to the very same values. Only plain maps and those under a plain LoRA
    are touched: other tuners compute with the weight itself. None leaves everything as it is. What is saved of a
    training are trained tensors alone, so nothing of this is in a checkpoint.
    """
    if dtype is None:
        return 0
    maps = [_plain(getattr(layer, name)) for layer in encoder.layers for name in LINEAR_MAPS]
    saved = 0
    for module in filter(None, maps):
        for parameter in module.parameters(recurse=False):
            if not parameter.requires_grad and parameter.dtype == torch.float32:
                parameter.data = parameter.data.to(dtype)
                saved += 2 * parameter.numel()
    return saved


def _plain(module: nn.Module) -> nn.Module | None:
    from peft.tuners.lora import Linear

    if type(module) is nn.Linear:
        return module
    if type(module) is Linear and not any(module.use_dora.values()) and type(module.base_layer) is nn.Linear:
        # Else peft casts what autocast has cast already back to float32, for autocast to cast it again.
        module.cast_input_dtype_enabled = False
        return module.base_layer
    return None
