"""What the tests of the methods around huggingface/peft share: cases and clauses of their own."""

import contextlib
from dataclasses import dataclass
from unittest import mock

import torch

from peft_asr.config import Config, HeadConfig, PeftConfig, UpstreamConfig
from peft_asr.peft.qlora import map_bytes
from peft_asr.tasks import SpeechModel, build, get_task
from peft_asr.upstream import load_upstream
from tests.contract import checks
from tests.contract.cases import TOKENS, Case, make_batch
from tests.tiny import random_wavs

# Every clause of the contract that looks at one model in one process.
CLAUSES = (
    checks.check_gradients, checks.check_pretrained_untouched, checks.check_count, checks.check_merge,
    checks.check_boundary, checks.check_padding, checks.check_modes, checks.check_acts,
)  # fmt: skip


@dataclass(frozen=True)
class PeftCase(Case):
    """A case whose spec may say ``peft:loha``, and whose options may be those of each part."""

    seed: int = 3

    def config(self, checkpoint: str, head: HeadConfig | None = None) -> Config:
        parts = [part.replace(":", "_") for part in self.spec.split("+")]
        by_part = self.options.keys() <= set(parts)
        options = dict(self.options) if by_part else {parts[0]: dict(self.options)}
        upstream = UpstreamConfig(name=self.family, ckpt=checkpoint)
        head = head or HeadConfig()
        return Config(seed=self.seed, upstream=upstream, peft=PeftConfig(self.spec, options), head=head)

    def build(self, checkpoint: str, head: HeadConfig | None = None) -> SpeechModel:
        return build(self.config(checkpoint, head), TOKENS)


def check_all(case: PeftCase, checkpoints: dict[str, str]) -> None:
    """Every clause on a post-LN model; on a pre-LN one those that depend on where the norms are."""
    for check in (checks.check_identity_at_start, *CLAUSES, check_restored):
        check(case, checkpoints[case.family])
    large = PeftCase(case.spec, "hubert_large", case.options)
    for check in (checks.check_identity_at_start, checks.check_gradients, checks.check_merge):
        check(large, checkpoints["hubert_large"])


def check_start(case: Case, checkpoint: str) -> None:
    """The start is the pre-trained model's within 1e-5 (some tuners take W apart and put it together again), or is
    stated not to be."""
    model = case.build(checkpoint)
    wavs, lengths = random_wavs([9000, 5000])
    with torch.no_grad():
        states, _ = load_upstream(case.config(checkpoint).upstream).hidden_states(wavs, lengths)
        distance = (model.encoder(wavs, lengths)[0] - states[-1]).abs().max()
    stated = all(method.identity_at_start for method in model.injected.methods)
    assert stated == bool(distance <= 1e-5), f"{float(distance)} from the pre-trained model, stated: {stated}"


def check_restored(case: PeftCase, checkpoint: str) -> None:
    """What a checkpoint holds is enough: put into a model of another seed, made where decompositions come out a
    little differently, it gives the same logits bit for bit."""
    model = case.build(checkpoint).train()
    for _ in checks._steps(model, 2):
        pass
    with other_arithmetic():
        other = PeftCase(case.spec, case.family, case.options, seed=11).build(checkpoint)
    wavs, lengths = random_wavs([9000, 5000])
    with torch.no_grad():
        expected = model.eval()(wavs, lengths)[0]
        assert not torch.equal(other(wavs, lengths)[0], expected)
        other.load_trainable_state({name: t.clone() for name, t in model.trainable_state().items()})
        assert torch.equal(other(wavs, lengths)[0], expected), "the checkpoint lacks something"


@contextlib.contextmanager
def other_arithmetic():
    """Singular value and QR decompositions as another library may give them: vectors negated, digits apart."""

    def other(decompose):
        def decomposed(*args, **kwargs):
            result = decompose(*args, **kwargs)
            return type(result)((-(1 + 1e-5) * result[0], *result[1:-1], -result[-1]))

        return decomposed

    svd, qr = other(torch.linalg.svd), other(torch.linalg.qr)
    with mock.patch("torch.linalg.svd", svd), mock.patch("torch.linalg.qr", qr):
        yield


def check_bytes(case: Case, checkpoint: str) -> None:
    """The quantised maps take less than 0.16 of what they take in float32."""
    held, plain = map_bytes(case.build(checkpoint).encoder)
    assert held < 0.16 * plain, f"{held} of {plain} bytes"


def check_budget(case: Case, checkpoint: str) -> None:
    """AdaLoRA: nothing is pruned before tinit, and from the last pruning on exactly target_r singular values a map
    are left on average, not all the same in each."""
    model = case.build(checkpoint).train()
    (method,) = model.injected.methods
    options = method.options
    maps = len(method.sites(model.encoder))
    ranks = []
    for _ in scheduled_steps(model, TOTAL):
        ranks.append([int((e != 0).sum()) for e in singular_values(model)])
    last = TOTAL - options.tfinal
    off = f"ranks off schedule: {ranks}"
    assert all(sum(of_step) == options.init_r * maps for of_step in ranks[: options.tinit]), off
    # At the first pruning; until the next one values may grow again.
    first = options.tinit // options.deltaT * options.deltaT + options.deltaT
    assert options.target_r * maps < sum(ranks[first - 1]) < options.init_r * maps, off
    assert all(sum(of_step) == options.target_r * maps for of_step in ranks[last - 1 :]), off
    assert len(set(ranks[-1])) > 1, "every map has the same rank: importance plays no part"


def check_penalty(case: Case, checkpoint: str) -> None:
    """AdaLoRA: orth_reg_weight times the mean distance of A A' and B' B from the identity is in the loss."""
    model = case.build(checkpoint).train()
    weight = model.injected.methods[0].options.orth_reg_weight
    distances = []
    for name, p in model.named_parameters():
        if ".lora_A." in name:
            distances.append((p @ p.T - torch.eye(p.shape[0])).square().sum().sqrt())
        elif ".lora_B." in name:
            distances.append((p.T @ p - torch.eye(p.shape[1])).square().sum().sqrt())
    assert distances and model.penalty() is not None, "no penalty"
    torch.testing.assert_close(model.penalty(), weight * sum(distances) / len(distances))
    model.penalty().backward()
    assert all(p.grad.any() for n, p in model.named_parameters() if ".lora_A." in n or ".lora_B." in n)


TOTAL = 12


def singular_values(model: SpeechModel) -> list[torch.Tensor]:
    """E of every map."""
    return [p.detach() for name, p in model.named_parameters() if ".lora_E." in name]


def scheduled_steps(model: SpeechModel, steps: int, done: int = 0, optimizer=None, total: int = TOTAL):
    """Training as the loop does it, from step ``done`` + 1 to ``steps`` of ``total``; yields after each step."""
    task = get_task("asr", TOKENS)
    optimizer = optimizer or make_optimizer(model)
    model.begin(total)
    for step in range(done + 1, steps + 1):
        batch = make_batch([6000, 4000], seed=step)
        optimizer.zero_grad(set_to_none=True)
        loss = task.loss(*model(batch.inputs, batch.wav_lengths), batch)
        penalty = model.penalty()
        (loss if penalty is None else loss + penalty).backward()
        optimizer.step()
        model.after_step(step)
        yield step


def make_optimizer(model: SpeechModel) -> torch.optim.Optimizer:
    """Of everything that trains."""
    return torch.optim.AdamW([p for p in model.parameters() if p.requires_grad], lr=1e-2)
