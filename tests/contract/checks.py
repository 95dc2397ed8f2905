"""The clauses of the contract, as functions that raise AssertionError. The mutant tests call the same ones."""

import math
import re
from collections.abc import Sequence

import torch
from torch import nn

from peft_asr import peft
from peft_asr.config import PeftConfig
from peft_asr.tasks import SpeechModel, get_task
from peft_asr.upstream import load_upstream
from peft_asr.upstream.boundary import AUDIO, CONV, FRONTEND
from peft_asr.upstream.skeleton import build_skeleton
from tests.contract.cases import TOKENS, Case, make_batch
from tests.tiny import random_wavs


def check_identity_at_start(case: Case, checkpoint: str) -> None:
    """1. Before training, the adapted features are the pre-trained model's (stated exceptions apart)."""
    model = case.build(checkpoint)
    wavs, lengths = random_wavs([9000, 5000])
    with torch.no_grad():
        ours, _ = model.encoder(wavs, lengths)
        plain = load_upstream(case.config(checkpoint).upstream)
        states, _ = plain.hidden_states(wavs, lengths)
        last = states[len(plain.layers)]  # DistilHuBERT lists its predictions after it
    if all(method.identity_at_start for method in model.injected.methods):
        torch.testing.assert_close(ours, last, atol=2e-6, rtol=0)
    else:
        same = ours.shape == last.shape and (ours - last).abs().max() < 1e-5
        assert not same, "stated as no identity at the start, but it is one"


def check_gradients(case: Case, checkpoint: str) -> None:
    """2. By the second step every declared tensor had a finite non-zero gradient, and no other tensor ever has one."""
    model = case.build(checkpoint).train()
    declared = {name for name, _ in _trainable(model)}
    largest = dict.fromkeys(declared, 0.0)
    for _ in _steps(model, 2):
        for name, parameter in model.named_parameters():
            if parameter.grad is None:
                continue
            assert name in declared, f"{name} has a gradient but was not declared"
            assert parameter.grad.isfinite().all(), f"{name}: gradient not finite"
            largest[name] = max(largest[name], float(parameter.grad.abs().max()))
    excused = {name for name in declared if _excused(model, name)}
    silent = {name for name in declared - excused if not largest[name]}
    assert not silent, f"declared, but no gradient by the second step: {sorted(silent)}"
    # What the mathematics gives as zero is rounding here. A wider excuse would hide tensors that learn, or should.
    rounding = 1e-6 * max(largest[name] for name in declared - excused)
    wrong = {name for name in excused if largest[name] > rounding}
    assert not wrong, f"excused for having no gradient, yet there is one: {sorted(wrong)}"


def check_pretrained_untouched(case: Case, checkpoint: str) -> None:
    """3. After training, every pre-trained tensor that was not declared is bit-identical, buffers included."""
    model = case.build(checkpoint).train()
    trained = {name for name, _ in _trainable(model)}
    before = {name: t.clone() for name, t in _tensors(model) if name not in trained}
    start = {name: parameter.detach().clone() for name, parameter in _trainable(model)}
    for _ in _steps(model, 3):
        pass
    for name, tensor in _tensors(model):
        if name in before:
            assert torch.equal(tensor, before[name]), f"{name} changed though it is frozen"
    still = [
        name for name, p in _trainable(model) if torch.equal(p, start[name]) and not _excused(model, name)
    ]
    assert not still, f"trains, but did not move: {still}"


def check_acts(case: Case, checkpoint: str) -> None:
    """Trained, it changes what an eval-mode encoder gives; and but for dropout, that is what it gives in training."""
    model = case.build(checkpoint).train()
    if not any(name.startswith("encoder.") for name, _ in _trainable(model)):
        return  # nothing in the encoder
    wavs, lengths = random_wavs([9000, 5000])

    def features(mode: bool) -> list[torch.Tensor]:
        """(T, D) of each utterance, in a padded batch and of the first one alone."""
        model.train(mode)
        with torch.no_grad():
            batch, frames = model.encoder(wavs, lengths)
            alone, _ = model.encoder(wavs[:1], lengths[:1])
        return [*(row[:n] for row, n in zip(batch, frames, strict=True)), alone[0, : frames[0]]]

    start = features(False)
    model.train()
    for _ in _steps(model, 3):
        pass
    acts = features(False)
    with torch.no_grad():
        plain = load_upstream(case.config(checkpoint).upstream)
        states, frames = plain.hidden_states(wavs, lengths)
    last = states[len(plain.layers)]
    upstreams = [row[:n] for row, n in zip(last, frames, strict=True)]
    for others, named in ((start, "before training"), (upstreams, "without the method")):
        for trained, other in zip(acts, others, strict=False):
            same = trained.shape == other.shape and (trained - other).abs().max() <= 1e-4
            assert not same, f"in eval mode the trained encoder gives what it gave {named}"
    without_dropout(model)
    trains = features(True)
    if any(method.noisy for method in model.injected.methods):
        assert not torch.equal(trains[0], features(True)[0]), "stated as noisy in training, but it is not"
        return
    for ours, expected in zip(trains, acts, strict=True):
        torch.testing.assert_close(
            ours, expected, atol=1e-5, rtol=0, msg=lambda m: f"training mode computes something else: {m}"
        )


def without_dropout(model: SpeechModel) -> SpeechModel:
    """The model with every dropout off: modules, and rates that the layers hand to functions."""
    for module in model.modules():
        if isinstance(module, nn.Dropout):
            module.p = 0.0
        for name, value in vars(module).items():
            if name.endswith("dropout") and isinstance(value, float):
                setattr(module, name, 0.0)
    return model


def check_count(case: Case, checkpoint: str) -> None:
    """4. What trains is what the method declares, on the real model and on the skeleton without weights."""
    model = case.build(checkpoint)
    trains = sum(p.numel() for name, p in _trainable(model) if name.startswith("encoder."))
    skeleton = build_skeleton(model.encoder.geometry)
    methods = peft.resolve(PeftConfig(case.spec, case.config(checkpoint).peft.options))
    assert sum(peft.count(skeleton, methods).values()) == trains
    peft.inject(skeleton, methods)
    shapes = {name: tuple(p.shape) for name, p in model.encoder.named_parameters()}
    assert {name: tuple(p.shape) for name, p in skeleton.named_parameters()} == shapes


def check_merge(case: Case, checkpoint: str) -> None:
    """6. Merged and unmerged logits agree after training, nothing of the method remains, and merging twice fails."""
    model = case.build(checkpoint).train()
    for _ in _steps(model, 3):
        pass
    model.eval()
    wavs, lengths = random_wavs([9000, 5000])
    with torch.no_grad():
        expected, frames = model(wavs, lengths)
        model.merge()
        merged, _ = model(wavs, lengths)
    for i, n in enumerate(frames.tolist()):
        torch.testing.assert_close(merged[i, :n], expected[i, :n], atol=1e-4, rtol=0)
    if all(method.unmergeable() is None for method in model.injected.methods):
        plain = load_upstream(case.config(checkpoint).upstream)
        left = {n for n, _ in model.encoder.named_parameters()} ^ {n for n, _ in plain.named_parameters()}
        assert not left, f"merged, yet not the upstream's own tensors: {left}"


def check_boundary(case: Case, checkpoint: str) -> None:
    """7. Below the reported boundary nothing changes by training, and what stands there carries no autograd graph."""
    model = case.build(checkpoint).train()
    wavs, lengths = random_wavs([9000, 5000])
    encoder, layers = model.encoder, len(model.encoder.layers)

    def below() -> list[torch.Tensor]:
        with torch.no_grad():
            encoder.eval()
            states, _ = encoder.hidden_states(wavs, lengths)
            encoder.train()
        return states[: max(encoder.boundary, -1) + 1]

    start = below()
    for _ in _steps(model, 2):
        pass
    states, _ = encoder.hidden_states(wavs, lengths)
    for index, state in enumerate(states[: max(encoder.boundary, -1) + 1]):
        assert not state.requires_grad, (
            f"state {index} stands below the boundary and carries an autograd graph"
        )
    for state, before in zip(below(), start, strict=True):
        assert torch.equal(state, before), "a state below the boundary changed"
    lowest = min(
        [_place(n, layers) for n, _ in _trainable(model) if n.startswith("encoder.")], default=layers
    )
    assert encoder.boundary == lowest, "the boundary is not where training begins"


def _place(name: str, layers: int) -> int:
    """The boundary that a trained tensor demands."""
    part, _, rest = name.removeprefix("encoder.").partition(".")
    if part == "layers":
        return int(rest.partition(".")[0])
    low = {
        "frontend": AUDIO,
        "projection": CONV,
        "sequence": FRONTEND,
        "position": FRONTEND,
        "relative": FRONTEND,
    }
    return low.get(part, layers if part == "readout" else layers - 1)


def check_padding(case: Case, checkpoint: str, head=None) -> None:
    """8. An utterance's logits do not depend on its batch mates or its padding."""
    model = case.build(checkpoint, head)
    for _ in _steps(model.train(), 1, [9000, 8000, 7000]):  # enough frames for the labels behind every head
        pass
    model.eval()
    wavs, lengths = random_wavs([12000, 5000, 1600])
    with torch.no_grad():
        together, frames = model(wavs, lengths)
        for i, n in enumerate(lengths.tolist()):
            alone, _ = model(wavs[i : i + 1, :n], lengths[i : i + 1])
            torch.testing.assert_close(together[i, : frames[i]], alone[0], atol=5e-5, rtol=0)


def check_lengths(case: Case, checkpoint: str) -> None:
    """9. 0.1 s and 35 s both pass, alone and together."""
    model = case.build(checkpoint)
    wavs, lengths = random_wavs([1600, 560000])
    with torch.no_grad():
        logits, frames = model(wavs, lengths)
        short, _ = model(wavs[:1, :1600], lengths[:1])
    expected = [model.num_frames(n) for n in (1600, 560000)]
    assert frames.tolist() == expected and expected[0] < expected[1]
    assert short.shape == (1, expected[0], len(TOKENS)) and logits[1].isfinite().all()


def check_modes(case: Case, checkpoint: str) -> None:
    """Frozen modules stay in eval mode, whatever is toggled; live ones follow, the methods' dropouts among them."""
    model = case.build(checkpoint)
    upstreams = {name for name, _ in load_upstream(case.config(checkpoint).upstream).named_modules()}
    live = {id(m) for root in model.encoder.live for m in root.modules()}
    for mode in (True, False, True):
        model.train(mode)
        for name, module in model.encoder.named_modules():
            if name and id(module) in live:
                assert module.training == mode, f"{name} does not follow training mode"
            elif name:
                assert not module.training, f"{name} is frozen but in training mode"
    for name, module in model.encoder.named_modules():
        if isinstance(module, nn.Dropout) and name not in upstreams:
            assert id(module) in live, f"{name} came with a method that never lets it act"


def _trainable(model: SpeechModel):
    return [(name, p) for name, p in model.named_parameters() if p.requires_grad]


def _excused(model: SpeechModel, name: str) -> bool:
    """By mathematics it has no gradient.

    The bias of the keys has none, because softmax is blind to what all scores share; not so beside a prefix, whose keys
    have no bias.
    """
    layer = re.match(r"encoder\.layers\.(\d+)\.k\.bias", name)
    if layer and "attn_prefix" in model.encoder.layers[int(layer[1])].sites:
        return False
    patterns = [pattern for method in model.injected.methods for pattern in method.without_gradient]
    return any(re.fullmatch(f"encoder.{pattern}", name) for pattern in patterns)


def _tensors(model: SpeechModel):
    return [*model.named_parameters(), *model.named_buffers()]


def _steps(model: SpeechModel, steps: int, samples: Sequence[int] = (9000, 6000, 4000)):
    """Plain training steps; yields after each backward pass, before the weights move."""
    task = get_task("asr", TOKENS)
    if model.wants_first_batch:
        model.start(*random_wavs([9000, 6000]))
    model.begin(total_steps=100)
    optimizer = torch.optim.AdamW([p for p in model.parameters() if p.requires_grad], lr=1e-2)
    for step in range(steps):
        batch = make_batch(list(samples), seed=step)
        torch.manual_seed(step)
        optimizer.zero_grad(set_to_none=True)
        loss = task.loss(*model(batch.inputs, batch.wav_lengths), batch)
        loss = loss if model.penalty() is None else loss + model.penalty()
        assert math.isfinite(loss.item())
        loss.backward()
        yield step
        optimizer.step()
        model.after_step(step + 1)
