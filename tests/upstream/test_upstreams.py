"""Names, geometries, identity, the option that forgets the weights."""

import inspect
import sys

import pytest
import torch

from peft_asr.config import PeftConfig, UpstreamConfig
from peft_asr.errors import UserError
from peft_asr.peft import count, resolve
from peft_asr.upstream import (
    ALIASES,
    HUB,
    find_checkpoint,
    fingerprint,
    known_names,
    load_upstream,
    named_geometry,
)
from peft_asr.upstream.hub import MAPPED, SHIPPED
from peft_asr.upstream.skeleton import build_skeleton
from tests.tiny import random_wavs, write_tiny_checkpoint


@pytest.mark.parametrize(
    ("spec", "options", "expected"),
    [
        ("lora", {}, 294_912),
        ("weighted_sum", {}, 13),
        ("frozen", {}, 0),
        ("full", {}, 94_370_944),
        ("full", {"full": {"freeze_frontend": True}}, 90_170_496),
        ("lora", {"lora": {"rank": 6}}, 221_184),
        ("lora", {"lora": {"targets": ["q", "k", "v", "o"], "rank": 4}}, 294_912),
        ("lora_all", {}, 1_327_104),
        ("dora", {}, 294_912 + 24 * 768),
        ("lora+weighted_sum", {}, 294_925),
    ],
)
def test_published_counts_on_base(spec, options, expected):
    skeleton = build_skeleton(named_geometry("hubert_base"))
    assert sum(count(skeleton, resolve(PeftConfig(spec, options))).values()) == expected


@pytest.mark.parametrize(
    ("name", "bundle"),
    [
        ("hubert_base", "HUBERT_BASE"), ("hubert_large_ll60k", "HUBERT_LARGE"), ("wav2vec2_base_960", "WAV2VEC2_BASE"),
        ("wav2vec2_large_960", "WAV2VEC2_LARGE"), ("wav2vec2_large_ll60k", "WAV2VEC2_LARGE_LV60K"),
        ("xlsr_53", "WAV2VEC2_XLSR53"), ("xls_r_300m", "WAV2VEC2_XLSR_300M"), ("xls_r_1b", "WAV2VEC2_XLSR_1B"),
        ("xls_r_2b", "WAV2VEC2_XLSR_2B"), ("wavlm_base", "WAVLM_BASE"), ("wavlm_base_plus", "WAVLM_BASE_PLUS"),
        ("wavlm_large", "WAVLM_LARGE"),
    ],
)  # fmt: skip
def test_geometries_agree_with_torchaudios(name, bundle):
    """torchaudio ships the same models: an independent source for the table."""
    import torchaudio

    theirs = getattr(torchaudio.pipelines, bundle)
    p, g = theirs._params, named_geometry(name)
    assert (g.dim, g.layers, g.heads, g.ffn) == (
        p["encoder_embed_dim"], p["encoder_num_layers"], p["encoder_num_heads"], p["encoder_ff_interm_features"],
    )  # fmt: skip
    assert g.group_norm == (p["extractor_mode"] == "group_norm") and g.conv_bias == p["extractor_conv_bias"]
    assert g.pre_ln == p["encoder_layer_norm_first"] and g.normalize == theirs._normalize_waveform
    assert (g.pos_kernel_frames, g.pos_groups) == (p["encoder_pos_conv_kernel"], p["encoder_pos_conv_groups"])
    if "wavlm" in name:
        assert (g.relative_buckets, g.relative_distance) == (
            p["encoder_num_buckets"],
            p["encoder_max_distance"],
        )


# What s3prl's hub exports besides upstreams, and upstreams that give no hidden states or need a config file.
NOT_UPSTREAMS = {
    "Path", "FileLock", "load_and_convert_fairseq_ckpt", "customized_upstream", "timit_posteriorgram", "stft_mag",
    "mos_wav2vec2", "mos_tera", "mos_apc",
}  # fmt: skip


def test_every_upstream_of_s3prls_hub_has_a_name_here():
    import s3prl.hub

    assert all(hasattr(s3prl.hub, name) for name in HUB)
    assert set(s3prl.hub.options(only_registered_ckpt=True)) - NOT_UPSTREAMS <= {*HUB, *ALIASES}
    assert all(target in HUB for target in ALIASES.values())


def test_urls_and_aliases_are_those_of_s3prls_hub(monkeypatch):
    """Each hub function asks for the URL that we have under its name."""
    import s3prl.hub

    asked = []

    def record(*urls, **kwargs):
        asked.extend(urls)
        raise KeyboardInterrupt  # which no hub function catches

    for name in [*HUB, *ALIASES]:
        entry = HUB[ALIASES.get(name, name)]
        function = getattr(s3prl.hub, name, None)
        if entry.url is None or function is None:
            continue
        module = inspect.getmodule(function)
        for owner in (module, sys.modules["s3prl.util.download"], sys.modules["s3prl.upstream.apc.hubconf"]):
            if hasattr(owner, "_urls_to_filepaths"):
                monkeypatch.setattr(owner, "_urls_to_filepaths", record)
        asked.clear()
        with pytest.raises(KeyboardInterrupt):
            function()
        assert asked == [entry.url], name


def test_stored_sizes_are_those_of_the_skeletons():
    sizes = {entry.geometry: entry.parameters for entry in [*MAPPED.values(), *SHIPPED.values()]}
    assert {g: sum(p.numel() for p in build_skeleton(g).parameters()) for g in sizes} == sizes


def test_wavlm_has_more_biases_than_hubert():
    """Those of the gates: 12 x 8 besides the layers' 12 x 8,448."""

    def biases(name: str) -> int:
        layers = build_skeleton(named_geometry(name)).layers
        return sum(p.numel() for key, p in layers.named_parameters() if key.endswith("bias"))

    assert (biases("hubert_base"), biases("wavlm_base")) == (101_376, 101_472)


def test_lengths_of_the_base_frontend():
    geometry = named_geometry("hubert_base")
    assert (geometry.min_samples, geometry.samples_per_frame) == (400, 320)
    assert [geometry.num_frames(n) for n in (0, 399, 400, 719, 720, 16000)] == [0, 0, 1, 1, 2, 49]


def test_unknown_name_gets_the_nearest():
    with pytest.raises(UserError, match=r"unknown upstream 'hubrt_base' \(did you mean 'hubert_base'\?\)"):
        named_geometry("hubrt_base")
    assert "xls_r_300m" in known_names()


def test_without_network_it_says_which_file_from_where_and_where_to(monkeypatch, tmp_path):
    from s3prl.util import download

    def fail(*args, **kwargs):
        raise OSError("no network")

    monkeypatch.setattr(download, "_download_dir", tmp_path)
    monkeypatch.setattr(download, "_download", fail)
    with pytest.raises(
        UserError, match=r"fetch https://\S*hubert_base_ls960.pt .* put it at \S*hubert_base_ls960.pt"
    ):
        find_checkpoint(UpstreamConfig(name="hubert_base"))


def test_the_cached_hub_file_is_used(monkeypatch, tmp_path, tiny_checkpoint):
    from s3prl.util import download

    monkeypatch.setattr(download, "_download_dir", tmp_path)
    cached = download._urls_to_filepaths(HUB["hubert_base"].url, download=False)
    with open(tiny_checkpoint, "rb") as source, open(cached, "wb") as target:
        target.write(source.read())
    assert len(load_upstream(UpstreamConfig(name="hubert")).layers) == 3


def test_fingerprint_follows_the_weights(tiny_checkpoint, tmp_path):
    def of(path, **options):
        return fingerprint(load_upstream(UpstreamConfig(name="tiny", ckpt=path, **options)))

    assert of(tiny_checkpoint) == of(tiny_checkpoint, padding="s3prl")
    assert of(tiny_checkpoint) != of(write_tiny_checkpoint(tmp_path / "b.pt", seed=1))


def test_random_init_keeps_the_shape_and_forgets_the_weights(tiny_checkpoint):
    config = UpstreamConfig(name="tiny", ckpt=tiny_checkpoint, random_init=True)
    first, again, other = (load_upstream(config, seed=seed) for seed in (1, 1, 2))
    trained = load_upstream(UpstreamConfig(name="tiny", ckpt=tiny_checkpoint))
    assert fingerprint(first) == fingerprint(again)
    assert len({fingerprint(first), fingerprint(other), fingerprint(trained)}) == 3
    assert {k: v.shape for k, v in first.state_dict().items()} == {
        k: v.shape for k, v in trained.state_dict().items()
    }


def test_padding_option_is_checked(tiny_checkpoint):
    with pytest.raises(UserError, match="upstream.padding takes"):
        load_upstream(UpstreamConfig(name="tiny", ckpt=tiny_checkpoint, padding="none"))


def test_deepcopy_after_a_forward(tiny_checkpoint):
    """Legacy weight norm breaks here."""
    import copy

    encoder = load_upstream(UpstreamConfig(name="tiny", ckpt=tiny_checkpoint))
    wavs, lengths = random_wavs([4000])
    expected, _ = encoder(wavs, lengths)
    torch.testing.assert_close(copy.deepcopy(encoder)(wavs, lengths)[0], expected)
