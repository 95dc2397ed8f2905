"""How long a training step of each method takes, relative to full fine-tuning, in one run.

    python tools/bench/step_time.py --upstream mini_hubert --peft "frozen lora houlsby" [--rounds 5] [--json FILE]

Each method takes turns with `full`, `--rounds` times over, so that a slower moment of the machine meets both; the ratio
is the median over the rounds of a step's time by that of the `full` step just before it. A step is forward, backward
and optimiser on `--batch` utterances of `--seconds`, from audio, float32, with the loop's own optimiser.
"""

import argparse
import json
import statistics
import time

import torch

from peft_asr.config import Config, PeftConfig, TrainConfig
from peft_asr.data.batch import Batch
from peft_asr.errors import UserError
from peft_asr.peft import METHODS, count, presets, resolve
from peft_asr.report.environment import environment_line
from peft_asr.report.published import skeleton_of
from peft_asr.tasks import build, get_task
from peft_asr.text.tokenizer import Tokenizer
from peft_asr.train.optim import build_optimizer

# Without options these say nothing by themselves.
NEED_OPTIONS = {"bottleneck", "peft"}
TOKENS = Tokenizer("char", ["<blank>", "<unk>", "<space>", *"abcdefghijklmnopqrstuvwxyz'"])


class Runner:
    """One method on the upstream, and a way to time a step of it."""

    def __init__(self, spec: str, upstream: str, batch: Batch):
        config = Config(peft=PeftConfig(spec))
        config.upstream.name = upstream
        self.model = build(config, TOKENS).train()
        self.task = get_task("asr", TOKENS)
        self.optimizer = build_optimizer(self.model, TrainConfig(lr=1e-4))
        self.model.begin(1000)
        self.batch = batch
        self.trains = sum(p.numel() for p in self.model.parameters() if p.requires_grad)

    def step(self) -> float:
        """Seconds of one step."""
        began = time.perf_counter()
        self.optimizer.zero_grad(set_to_none=True)
        loss = self.task.loss(*self.model(self.batch.inputs, self.batch.wav_lengths), self.batch)
        penalty = self.model.penalty()
        (loss if penalty is None else loss + penalty).backward()
        self.optimizer.step()
        self.model.after_step(1)
        return time.perf_counter() - began


def measure(specs: list[str], upstream: str, batch: Batch, rounds: int) -> list[dict]:
    """One row a method: ``peft``, ``trains``, medians ``step_s``, ``full_s``, ``ratio`` (``lowest``, ``highest``)."""
    full, rows = Runner("full", upstream, batch), []
    full.step()
    for spec in specs:
        runner = Runner(spec, upstream, batch)
        runner.step()
        pairs = [(full.step(), runner.step()) for _ in range(rounds)]
        ratios = sorted(own / reference for reference, own in pairs)
        rows.append(
            {
                "peft": spec,
                "trains": runner.trains,
                "step_s": statistics.median(own for _, own in pairs),
                "full_s": statistics.median(reference for reference, _ in pairs),
                "ratio": statistics.median(ratios),
                "lowest": ratios[0],
                "highest": ratios[-1],
            }
        )
    return rows


def every(upstream: str) -> list[str]:
    """All methods and presets that this upstream has layers enough for; says which are left out."""
    fitting = []
    for spec in sorted({*METHODS, *presets()} - NEED_OPTIONS):
        try:
            count(skeleton_of(upstream), resolve(PeftConfig(spec)))
            fitting.append(spec)
        except UserError as err:
            print(f"{spec} is left out: {err}\n")
    return fitting


def make_batch(size: int, seconds: float) -> Batch:
    """Noise with random labels; the lengths differ by up to a fifth, as in a bucket."""
    generator = torch.Generator().manual_seed(0)
    lengths = torch.linspace(0.8, 1.0, size).mul(seconds * 16000).long()
    wavs = 0.1 * torch.randn(size, int(lengths.max()), generator=generator)
    wavs[torch.arange(wavs.shape[1]) >= lengths[:, None]] = 0.0
    labels = torch.randint(3, len(TOKENS), (size, int(seconds * 6)), generator=generator)
    ids = [f"utt{i}" for i in range(size)]
    label_lengths = torch.full((size,), labels.shape[1])
    return Batch(ids, wavs, lengths, labels, label_lengths, [TOKENS.decode(row.tolist()) for row in labels])


def main() -> None:
    """Measure and print a table."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--upstream", default="mini_hubert")
    parser.add_argument("--peft", help="methods, separated by blanks (default: all that fit)")
    parser.add_argument("--batch", type=int, default=6)
    parser.add_argument("--seconds", type=float, default=2.7)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--json", default=None, metavar="FILE")
    args = parser.parse_args()
    torch.set_num_threads(args.threads)
    batch = make_batch(args.batch, args.seconds)
    try:
        specs = args.peft.split() if args.peft else every(args.upstream)
        rows = measure(specs, args.upstream, batch, args.rounds)
    except UserError as err:
        parser.error(str(err))
    print(f"{args.upstream}, {args.batch} x {args.seconds} s, {args.threads} threads; {environment_line()}\n")
    print("| `--peft` | trains, head included | step s | step of `full` s | ratio | lowest to highest |")
    print("|---|---|---|---|---|---|")
    for row in sorted(rows, key=lambda row: row["ratio"]):
        print(
            f"| `{row['peft']}` | {row['trains']:,} | {row['step_s']:.3f} | {row['full_s']:.3f} | {row['ratio']:.2f} "
            f"| {row['lowest']:.2f} to {row['highest']:.2f} |"
        )
    if args.json:
        with open(args.json, "w", encoding="utf-8") as file:
            json.dump(rows, file, indent=2)


if __name__ == "__main__":
    main()
