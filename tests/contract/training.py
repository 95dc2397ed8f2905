"""More clauses of the contract: what training does around a model must not change what it learns."""

import copy

import torch
import torch.distributed as dist
from torch import Tensor, nn
from torch.nn.parallel import DistributedDataParallel

from peft_asr.tasks import SpeechModel, get_task
from peft_asr.tasks.adapter import load_adapter, save_adapter
from tests.contract.cases import TOKENS, Case, make_batch
from tests.contract.checks import _steps, without_dropout
from tests.tiny import random_wavs


def gradients(model: SpeechModel, batch, seed: int = 0, autocast: bool = False) -> dict[str, Tensor]:
    """Gradient of the mean loss of a batch with respect to everything that trains."""
    torch.manual_seed(seed)
    model.zero_grad(set_to_none=True)
    with torch.autocast("cpu", torch.bfloat16, enabled=autocast):
        logits, frames = model(batch.inputs, batch.wav_lengths)
    assert logits.dtype == torch.float32
    loss = get_task("asr", TOKENS).loss(logits, frames, batch)
    penalty = model.penalty()
    (loss if penalty is None else loss + penalty).backward()
    return {n: p.grad.clone() for n, p in model.named_parameters() if p.grad is not None}


def moved(case: Case, checkpoint: str) -> SpeechModel:
    """A model after two steps, so that no factor is at its starting value, in training mode."""
    model = case.build(checkpoint).train()
    for _ in _steps(model, 2):
        pass
    return model


def check_gradient_checkpointing(case: Case, checkpoint: str) -> None:
    """Computing layers again in the backward pass gives the same gradients, dropouts included (SPEC G5)."""
    model, batch = moved(case, checkpoint), make_batch([9000, 6000])
    plain = gradients(model, batch)
    runs = []
    for layer in model.encoder.layers:
        layer.register_forward_pre_hook(lambda module, inputs: runs.append(module))
    model.encoder.checkpointing = True
    again = gradients(model, batch)
    layers = len(model.encoder.layers)
    assert len(runs) == 2 * layers - max(model.encoder.boundary, 0), (
        "trained layers run twice, frozen ones once"
    )
    assert plain.keys() == again.keys()
    for name, gradient in plain.items():
        torch.testing.assert_close(
            again[name], gradient, atol=1e-6, rtol=1e-5, msg=lambda m, n=name: f"{n}: {m}"
        )


def check_autocast(case: Case, checkpoint: str) -> None:
    """Under bfloat16 autocast every gradient exists, is finite and points where the float32 one does."""
    model, batch = moved(case, checkpoint), make_batch([9000, 6000])
    exact, rough = gradients(model, batch), gradients(model, batch, autocast=True)
    assert exact.keys() == rough.keys()
    assert all(g.isfinite().all() for g in rough.values())
    a, b = (torch.cat([g.flatten().float() for g in one.values()]) for one in (exact, rough))
    assert nn.functional.cosine_similarity(a, b, dim=0) > 0.95


def check_deepcopy(case: Case, checkpoint: str) -> None:
    """A deep copy computes the same and shares nothing that trains."""
    model = moved(case, checkpoint).eval()
    wavs, lengths = random_wavs([9000, 5000])
    with torch.no_grad():
        expected, _ = model(wavs, lengths)
        twin = copy.deepcopy(model)
        for tensor in twin.trainable_state().values():
            tensor.zero_()
        assert torch.equal(model(wavs, lengths)[0], expected)
        twin.load_trainable_state(model.trainable_state())
        assert torch.equal(twin(wavs, lengths)[0], expected)


def check_cycles(case: Case, checkpoint: str, folder) -> None:
    """Three times saved and loaded: the same bytes, the same logits, and merged each time the same logits again."""
    model = moved(case, checkpoint).eval()
    wavs, lengths = random_wavs([9000, 5000])
    merged, files = [], []
    for turn in range(3):
        save_adapter(folder / str(turn), model, case.config(checkpoint), TOKENS, step=2, metrics={})
        files.append([(folder / str(turn) / n).read_bytes() for n in ("adapter.safetensors", "adapter.json")])
        twin = load_adapter(folder / str(turn)).model
        model = load_adapter(folder / str(turn)).model
        with torch.no_grad():
            twin.merge()
            merged.append(twin(wavs, lengths)[0])
    assert files[0] == files[1] == files[2], "saving what was loaded gives other bytes"
    assert torch.equal(merged[0], merged[1]) and torch.equal(merged[1], merged[2])


def check_compiles(case: Case, checkpoint: str) -> None:
    """torch.compile traces the model (graph capture; no code is generated here) and the logits are the same."""
    model = moved(case, checkpoint).eval()
    wavs, lengths = random_wavs([9000, 5000])
    torch._dynamo.reset()
    compiled = torch.compile(model, backend="eager")
    with torch.no_grad():
        torch.testing.assert_close(compiled(wavs, lengths)[0], model(wavs, lengths)[0], atol=1e-5, rtol=0)


def gradients_of_two(rank: int, cases: list[Case], checkpoints: dict, rendezvous: str, out: str) -> None:
    """One of two gloo processes: each takes half of every batch; rank 0 writes the averaged gradients."""
    torch.set_num_threads(1)
    dist.init_process_group("gloo", init_method=f"file://{rendezvous}", rank=rank, world_size=2)
    found = {}
    for case in cases:
        model = without_dropout(moved(case, checkpoints[case.family]))
        half = make_batch(HALVES[rank], seed=rank)
        wrapped = DistributedDataParallel(Whole(model))
        model.zero_grad(set_to_none=True)
        wrapped(half).backward()
        found[str(case)] = {n: p.grad for n, p in model.named_parameters() if p.grad is not None}
    if rank == 0:
        torch.save(found, out)
    dist.barrier()
    dist.destroy_process_group()


HALVES = ([9000, 4000], [7000, 6000])


class Whole(nn.Module):
    """Model and loss in one forward, which is what DistributedDataParallel wraps."""

    def __init__(self, model: SpeechModel):
        super().__init__()
        self.model = model

    def forward(self, batch) -> Tensor:
        loss = get_task("asr", TOKENS).loss(*self.model(batch.inputs, batch.wav_lengths), batch)
        penalty = self.model.penalty()
        return loss if penalty is None else loss + penalty
