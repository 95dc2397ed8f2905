"""How many operations a training step with LoRA takes, counted from the geometry: for sizes that are not measured."""

from peft_asr.upstream import Geometry


def step_flops(geometry: Geometry, utterance_s: float, utterances: int) -> float:
    """Multiplications and additions of a LoRA step from audio, LoRA itself and norms left out.

    Forward everywhere; backward only through the layers, and there only to the activations: a frozen linear map costs
    as much again, attention's two products twice as much again.
    """
    samples = round(utterance_s * 16000)
    frontend, width = 0.0, 1
    for channels, kernel, stride in geometry.conv:
        samples = (samples - kernel) // stride + 1
        frontend += 2.0 * samples * channels * width * kernel
        width = channels
    frames, dim = samples, geometry.dim
    frontend += 2.0 * frames * width * dim
    frontend += 2.0 * frames * dim * dim * geometry.pos_kernel_frames / geometry.pos_groups
    linear = 2.0 * frames * (4 * dim * dim + 2 * dim * geometry.ffn)
    attention = 4.0 * frames * frames * dim
    return utterances * (frontend + geometry.layers * (2 * linear + 3 * attention))
