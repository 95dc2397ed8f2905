"""The clauses of training.py over the registry; what is the same for all families runs on one."""

import pytest
import torch
import torch.multiprocessing as mp

from peft_asr.data.batch import Batch
from tests.contract import checks, training
from tests.contract.cases import CASES_AROUND, Case, make_batch

over_methods = pytest.mark.parametrize("case", CASES_AROUND, ids=str)


@over_methods
def test_gradient_checkpointing(case, tiny_checkpoints):
    training.check_gradient_checkpointing(case, tiny_checkpoints[case.family])


@over_methods
def test_autocast(case, tiny_checkpoints):
    training.check_autocast(case, tiny_checkpoints[case.family])


@over_methods
def test_deepcopy(case, tiny_checkpoints):
    training.check_deepcopy(case, tiny_checkpoints[case.family])


@over_methods
def test_three_cycles_of_saving_loading_merging(case, tiny_checkpoints, tmp_path):
    training.check_cycles(case, tiny_checkpoints[case.family], tmp_path)


@pytest.mark.parametrize(
    "spec",
    [
        "frozen", "weighted_sum", "lora_all", "full", "bitfit", "layernorm", "houlsby", "convpass_hou_par",
        "adapterbias", "prefix", "prompt_deep", "p_adapter_suffix", "l_adapter", "elp", "dora", "pissa", "adalora",
        "ia3", "vera", "qlora", "peft:loha",
    ],
)  # fmt: skip
def test_torch_compile(spec, tiny_checkpoint):
    training.check_compiles(Case(spec, "hubert"), tiny_checkpoint)


def test_two_processes_have_the_gradients_of_one(tiny_checkpoints, tmp_path):
    """DistributedDataParallel over gloo, half a batch each, against one process with the whole batch (SPEC G6)."""
    # A trained backbone's dropout would draw differently in each process; the methods' own is off in both.
    cases = [c for c in CASES_AROUND if c.spec not in ("full", "top_n") or c.options.get("dropout") is False]
    cases += [Case("full", "hubert", {"dropout": False}), Case("top_n", "hubert", {"n": 2, "dropout": False})]
    out = str(tmp_path / "gradients.pt")
    arguments = (cases, tiny_checkpoints, str(tmp_path / "rendezvous"), out)
    mp.spawn(training.gradients_of_two, arguments, nprocs=2)
    found = torch.load(out, weights_only=True)
    a, b = (make_batch(half, seed=rank) for rank, half in enumerate(training.HALVES))
    for case in cases:
        model = checks.without_dropout(training.moved(case, tiny_checkpoints[case.family]))
        expected = training.gradients(model, union(a, b))
        assert found[str(case)].keys() == expected.keys(), str(case)
        for name, gradient in expected.items():
            torch.testing.assert_close(
                found[str(case)][name],
                gradient,
                atol=1e-5,
                rtol=1e-4,
                msg=lambda m, c=case, n=name: f"{c} {n}: {m}",
            )


def union(a: Batch, b: Batch) -> Batch:
    """Both batches as one."""
    length = max(a.inputs.shape[1], b.inputs.shape[1])
    wavs = torch.cat([torch.nn.functional.pad(x.inputs, (0, length - x.inputs.shape[1])) for x in (a, b)])
    rest = [torch.cat([getattr(a, k), getattr(b, k)]) for k in ("wav_lengths", "labels", "label_lengths")]
    return Batch([*a.utt_ids, *b.utt_ids], wavs, *rest, [*a.texts, *b.texts])
