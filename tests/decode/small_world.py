"""A tiny adapter with trained-looking weights, and a test set as stage 2 leaves it."""

from pathlib import Path

import numpy as np
import soundfile
import torch

from peft_asr.config import Config
from peft_asr.data.tables import write_table
from peft_asr.tasks import build
from peft_asr.tasks.adapter import save_adapter
from peft_asr.text.tokenizer import Tokenizer

TOKENS = ["<blank>", "<unk>", "<space>", *"abcdefg"]


def save_tiny_adapter(
    folder: Path,
    checkpoint: str,
    *,
    spec: str = "lora",
    only_blank: bool = False,
    task: str = "asr",
    languages: tuple[str, ...] = (),
) -> None:
    """Write ``folder``: LoRA and head far from their start, so that a forgotten one shows."""
    config = Config(seed=3, task=task)
    config.upstream.ckpt = checkpoint
    config.peft.spec = spec
    config.decode.num_workers = 0
    tokens = [*TOKENS[:2], *(f"[{code}]" for code in languages), *TOKENS[2:]]
    tokenizer = Tokenizer("char", tokens, languages=languages)
    model = build(config, tokenizer)
    generator = torch.Generator().manual_seed(5)
    # Not in inference mode: the same tensors are loaded, trained and merged elsewhere.
    with torch.no_grad():
        for name, tensor in model.trainable_state().items():
            tensor.copy_(0.7 * torch.randn(tensor.shape, generator=generator))
            if only_blank and name.startswith("head"):
                tensor.zero_()
                if tensor.ndim == 1:
                    tensor[0] = 5.0
    save_adapter(folder, model, config, tokenizer, step=7, metrics={"wer": 12.5, "loss": 0.25})


def noise(samples: int, seed: int) -> np.ndarray:
    """(N,) float32 that a flac of 16 bits holds exactly."""
    drawn = np.random.default_rng(seed).normal(0.0, 0.1, samples)
    return (np.round(drawn * 32768) / 32768).astype(np.float32)


def write_dump(folder: Path, seconds: list[float]) -> dict[str, np.ndarray]:
    """Write a data directory of noise; returns its samples by utterance."""
    samples = {f"spk-{i:02d}": noise(int(s * 16000), seed=i) for i, s in enumerate(seconds)}
    (folder / "flac").mkdir(parents=True)
    paths = {utt: str(folder / "flac" / f"{utt}.flac") for utt in samples}
    for utt, path in paths.items():
        soundfile.write(path, samples[utt], 16000)
    write_table(folder / "utt2num_samples", {utt: str(len(x)) for utt, x in samples.items()})
    write_table(folder / "text", dict.fromkeys(samples, "abc d"))
    write_table(folder / "utt2spk", dict.fromkeys(samples, "spk"))
    write_table(folder / "wav.scp", paths)
    return samples


def write_lm(path: Path, units: list[str]) -> str:
    """An ARPA bigram of these units, earlier ones likelier; its sums do not matter here."""
    lines = [
        "\\data\\",
        f"ngram 1={len(units) + 2}",
        f"ngram 2={len(units)}",
        "",
        "\\1-grams:",
        "-99\t<s>\t-0.3",
    ]
    lines += ["-1.2\t</s>", *(f"{-0.6 - 0.1 * i:.1f}\t{unit}\t-0.2" for i, unit in enumerate(units))]
    lines += ["", "\\2-grams:", *(f"{-0.5 - 0.1 * i:.1f}\t<s> {unit}" for i, unit in enumerate(units))]
    path.write_text("\n".join([*lines, "", "\\end\\", ""]), encoding="utf-8")
    return str(path)
