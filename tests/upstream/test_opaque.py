"""Upstreams that run through s3prl's own forward."""

import math
import subprocess
import sys

import pytest
import torch

from peft_asr.config import Config, PeftConfig, UpstreamConfig
from peft_asr.errors import UserError
from peft_asr.tasks import build
from peft_asr.upstream import fingerprint, load_skeleton, load_upstream
from tests.contract.cases import TOKENS, make_batch
from tests.tiny import random_wavs, write_tiny_opaque

# name -> widths of the hidden states, (kernel, stride) of the frames
EXPECTED = {
    "apc": ([12, 12, 12], (400, 160)),
    "vq_apc": ([12, 12, 12], (400, 160)),
    "npc": ([12] * 5, (400, 160)),
    "cpc": ([16, 12], (4, 160)),
    "tera": ([24] * 3, (400, 160)),
}


@pytest.fixture(scope="module")
def files(tmp_path_factory) -> dict[str, str]:
    folder = tmp_path_factory.mktemp("opaque")
    return {name: write_tiny_opaque(folder / f"{name}.ckpt", name) for name in EXPECTED}


def load(name: str, path: str | None = None, **options):
    return load_upstream(UpstreamConfig(name=name, ckpt=path, trust_pickle=path is not None, **options))


def expert(name: str, path: str):
    import s3prl.hub

    return getattr(s3prl.hub, f"{name.removeprefix('vq_')}_local")(path).eval()


@pytest.mark.parametrize("name", EXPECTED)
def test_states_are_s3prls_own(name, files):
    wavs, lengths = random_wavs([16001])
    with torch.no_grad():
        reference = expert(name, files[name])([wavs[0]])["hidden_states"]
    encoder = load(name, files[name])
    states, frames = encoder.hidden_states(wavs, lengths)
    widths, (kernel, stride) = EXPECTED[name]
    assert encoder.state_widths == widths == [s.shape[-1] for s in states] and encoder.num_states == len(
        widths
    )
    assert frames.item() == (16001 - kernel) // stride + 1 == encoder.geometry.num_frames(16001)
    for state, expected in zip(states, reference, strict=True):
        torch.testing.assert_close(state, expected)


@pytest.mark.parametrize("name", [*EXPECTED, "fbank", "mfcc", "mel"])
def test_batch_gives_what_each_utterance_gives_alone(name, files):
    encoder = load(name, files.get(name))
    wavs, lengths = random_wavs([8000, 1600, 6111])
    states, frames = encoder.hidden_states(wavs, lengths)
    for i, n in enumerate(lengths.tolist()):
        alone, own = encoder.hidden_states(wavs[i : i + 1, :n], lengths[i : i + 1])
        assert frames[i] == own[0] == encoder.geometry.num_frames(n)
        for state, expected in zip(states, alone, strict=True):
            assert torch.equal(state[i, : frames[i]], expected[0])


def test_s3prl_padding_is_its_own_batch(files):
    wavs, lengths = random_wavs([8000, 4000])
    with torch.no_grad():
        reference = expert("npc", files["npc"])([wavs[0], wavs[1, :4000]])["hidden_states"]
    states, frames = load("npc", files["npc"], padding="s3prl").hidden_states(wavs, lengths)
    assert frames.tolist() == [48, 23]
    torch.testing.assert_close(states[-1], reference[-1])


def model_of(name: str, path: str | None, spec: str):
    upstream = UpstreamConfig(name=name, ckpt=path, trust_pickle=path is not None)
    return build(Config(upstream=upstream, peft=PeftConfig(spec)), TOKENS)


def losses(model, steps: int = 3):
    """Plain training; yields the loss after each backward pass."""
    from peft_asr.tasks import get_task

    task = get_task("asr", TOKENS)
    optimizer = torch.optim.Adam([p for p in model.parameters() if p.requires_grad], lr=1e-2)
    for _ in range(steps):
        batch = make_batch([9000, 6000, 4000])
        optimizer.zero_grad(set_to_none=True)
        loss = task.loss(*model(batch.inputs, batch.wav_lengths), batch)
        loss.backward()
        yield loss.item()
        optimizer.step()


@pytest.mark.parametrize("name", ["apc", "vq_apc", "npc", "cpc"])
def test_full_trains_every_parameter_that_the_output_depends_on(name, files):
    model = model_of(name, files[name], "full").train()
    trained = {n for n, p in model.named_parameters() if p.requires_grad and n.startswith("encoder.")}
    assert trained and not any("postnet" in n or "vq_layers" in n for n in trained)
    buffers = {n: t.clone() for n, t in model.named_buffers()}
    history = []
    for loss in losses(model):
        history.append(loss)
        for n, p in model.named_parameters():
            assert p.grad is not None and p.grad.isfinite().all() and p.grad.abs().max() > 0, n
    assert math.isfinite(history[-1]) and history[-1] < history[0]
    assert all(torch.equal(t, buffers[n]) for n, t in model.named_buffers())


@pytest.mark.parametrize(("name", "spec"), [("apc", "frozen"), ("apc", "weighted_sum"), ("fbank", "frozen")])
def test_methods_without_layers(name, spec, files):
    model = model_of(name, files.get(name), spec).train()
    before = {n: p.clone() for n, p in model.encoder.upstream.named_parameters()}
    history = list(losses(model))
    assert history[-1] < history[0] and model.boundary == "all"
    assert all(torch.equal(p, before[n]) for n, p in model.encoder.upstream.named_parameters())
    trains = sum(p.numel() for p in model.encoder.parameters() if p.requires_grad)
    assert trains == (3 if spec == "weighted_sum" else 0)


def test_a_weighted_sum_of_one_state():
    """Filter banks have no parameter that would tell their device."""
    model = model_of("fbank", None, "weighted_sum")
    assert [n for n, p in model.encoder.named_parameters() if p.requires_grad] == ["readout.weights"]
    logits, frames = model(*random_wavs([8000]))
    assert logits.shape == (1, 48, len(TOKENS)) and frames.tolist() == [48]


def test_states_of_different_widths_have_no_weighted_sum(files):
    with pytest.raises(UserError, match="hidden states of cpc are 16 and 12 wide"):
        model_of("cpc", files["cpc"], "weighted_sum")


def test_masks_lie_on_what_the_head_sees(files):
    encoder = load("apc", files["apc"])
    wavs, lengths = random_wavs([8000])
    features, _ = encoder(wavs, lengths, lambda x, frames, fill: x.masked_fill(torch.ones_like(x) > 0, 7.0))
    assert (features == 7).all()


ALL = "frozen, weighted_sum, full, bitfit"


@pytest.mark.parametrize(
    ("name", "why", "fit"),
    [
        ("apc", "is no transformer", ALL),
        ("tera", "is not yet mapped to the uniform layer", ALL),
        ("cpc", "is no transformer", "frozen, full, bitfit"),  # its states differ in width here
        ("baseline", "is no transformer", "frozen, weighted_sum"),
        ("mfcc", "is no transformer", "frozen, weighted_sum"),
    ],
)
def test_other_methods_say_why_not_and_which_fit(name, why, fit, files):
    """In the user's words: ``baseline`` is fbank to s3prl, and ``features`` is a family of ours."""
    said = (
        f"^--peft lora needs a transformer's layers, and the upstream {name} {why}; allowed with it: {fit}$"
    )
    with pytest.raises(UserError, match=said):
        model_of(name, files.get(name), "lora")
    for spec in fit.split(", "):
        model_of(name, files.get(name), spec)
    if "bitfit" not in fit:
        with pytest.raises(UserError, match=f"trains biases, and the upstream {name} has none"):
            model_of(name, files.get(name), "bitfit")


def test_s3prls_hub_does_not_complain_of_espnet():
    code = (
        "from peft_asr.config import UpstreamConfig; from peft_asr.upstream import load_upstream; import sys; "
        "load_upstream(UpstreamConfig(name='fbank')); assert 's3prl.upstream.espnet_hubert.expert' in sys.modules"
    )
    done = subprocess.run(
        [sys.executable, "-W", "ignore", "-c", code], capture_output=True, text=True, check=True
    )
    assert "ESPnet" not in done.stderr + done.stdout


def test_nothing_is_unpickled_unasked(files):
    with pytest.raises(
        UserError, match="'apc_360hr' is read by s3prl's own code.*upstream.trust_pickle=true"
    ):
        load_upstream(UpstreamConfig(name="apc", ckpt=files["apc"]))
    with pytest.raises(UserError, match="trust_pickle"):
        load_upstream(UpstreamConfig(name="vggish"))


@pytest.mark.parametrize(
    ("config", "message"),
    [
        (UpstreamConfig(name="fbank", ckpt="a.pt"), "'fbank' is computed and has no checkpoint"),
        (UpstreamConfig(name="fbank", random_init=True), "random_init works where the layers are uniform"),
        (UpstreamConfig(name="vggish", ckpt="a.pt"), "takes no checkpoint file"),
        (
            UpstreamConfig(name="apc", ckpt="absent.pt", trust_pickle=True),
            "no upstream checkpoint at absent.pt",
        ),
        (UpstreamConfig(name="espnet_hubert_base_iter0", trust_pickle=True), "s3prl cannot run"),
    ],
)
def test_bad_input(config, message, monkeypatch):
    from s3prl.util import download

    def fail(*args, **kwargs):
        raise OSError("no network")

    monkeypatch.setattr(download, "_download", fail)
    with pytest.raises(UserError, match=message):
        load_upstream(config)


def test_a_file_of_another_model(files):
    with pytest.raises(UserError, match="s3prl cannot run 'npc_360hr' from .*apc.ckpt: "):
        load("npc", files["apc"])


def test_a_family_by_its_local_name(files):
    assert load("cpc_local", files["cpc"]).state_widths == [16, 12]


def test_upstreams_without_weights_have_fingerprints_of_their_own():
    assert len({fingerprint(load(name)) for name in ("fbank", "fbank_no_cmvn", "mfcc", "mel")}) == 4
    assert fingerprint(load("fbank")) == fingerprint(load("baseline"))


def test_too_short(files):
    with pytest.raises(UserError, match="399 samples is too short"):
        load("apc", files["apc"]).hidden_states(*random_wavs([8000, 399]))


def test_the_shape_of_an_absent_checkpoint_is_unknown(tmp_path, monkeypatch, files):
    from s3prl.util import download

    monkeypatch.setattr(download, "_download_dir", tmp_path)
    with pytest.raises(
        UserError, match="shape of 'apc_360hr' is known only from its checkpoint.*fetch https"
    ):
        load_skeleton(UpstreamConfig(name="apc", trust_pickle=True))
    assert load_skeleton(UpstreamConfig(name="apc", ckpt=files["apc"], trust_pickle=True)).num_states == 3
