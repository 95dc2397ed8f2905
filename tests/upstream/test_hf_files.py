"""Hugging Face upstreams: which files are read, and what is refused."""

import json
import shutil
from pathlib import Path

import huggingface_hub
import pytest
import torch
from huggingface_hub.errors import LocalEntryNotFoundError
from safetensors.torch import load_file, save_file

from peft_asr.errors import UserError
from peft_asr.upstream.hf import hf_geometry
from tests.tiny import random_wavs
from tests.upstream.hf_reference import load

SAFE, PICKLED = "model.safetensors", "pytorch_model.bin"


@pytest.fixture
def copied(tiny_hf, tmp_path):
    """Copies of the tiny models, which a test may spoil."""
    return lambda family: Path(shutil.copytree(tiny_hf[family], tmp_path / family))


def edit(path: Path, **changes) -> None:
    """Change values of a JSON file; None takes a key away."""
    values = {**json.loads(path.read_text()), **changes}
    path.write_text(json.dumps({key: value for key, value in values.items() if value is not None}))


def rewrite(folder: Path, change) -> None:
    save_file(change(load_file(folder / SAFE)), folder / SAFE)


def to_bin(folder: Path) -> None:
    torch.save(load_file(folder / SAFE), folder / PICKLED)
    (folder / SAFE).unlink()


def to_shards(folder: Path) -> None:
    state, index = load_file(folder / SAFE), {}
    (folder / SAFE).unlink()
    for part in (0, 1):
        names, file = sorted(state)[part::2], f"model-{part + 1:05d}-of-00002.safetensors"
        save_file({name: state[name] for name in names}, folder / file)
        index |= dict.fromkeys(names, file)
    (folder / f"{SAFE}.index.json").write_text(json.dumps({"weight_map": index}))


def to_other_names(folder: Path) -> None:
    """Weight norm as older versions of torch name it; AST as transformers 5 names it (which still writes the old)."""
    other = {"parametrizations.weight.original0": "weight_g", "parametrizations.weight.original1": "weight_v"}
    if folder.name == "hf_ast":
        other = {
            "encoder.layer.": "layers.",
            "attention.attention.query": "attention.q_proj",
            "attention.attention.key": "attention.k_proj",
            "attention.attention.value": "attention.v_proj",
            "attention.output.dense": "attention.o_proj",
            "intermediate.dense": "mlp.fc1",
            "output.dense": "mlp.fc2",
        }

    def rename(name: str) -> str:
        for written, called in other.items():
            name = name.replace(written, called)
        return name

    state = load_file(folder / SAFE)
    assert {rename(name) for name in state} != set(state)
    save_file({rename(name): tensor for name, tensor in state.items()}, folder / SAFE)


def last_state(path: str | Path, **options) -> torch.Tensor:
    states, _ = load(str(path), **options).hidden_states(*random_wavs([6000]))
    return states[-1]


@pytest.mark.parametrize(
    ("form", "family"),
    [(form, family) for form in (to_bin, to_shards) for family in ("hf_hubert", "hf_whisper", "hf_ast")]
    + [(to_other_names, family) for family in ("hf_wav2vec2_large", "hf_wavlm", "hf_ast")],
)
def test_every_form_of_the_weights_gives_the_same(form, family, copied, tiny_hf):
    folder = copied(family)
    form(folder)
    assert torch.equal(last_state(folder), last_state(tiny_hf[family]))


def test_the_processors_file_serves_as_well(copied, tiny_hf):
    folder = copied("hf_hubert")
    settings = json.loads((folder / "preprocessor_config.json").read_text())
    (folder / "preprocessor_config.json").unlink()
    (folder / "processor_config.json").write_text(json.dumps({"feature_extractor": settings}))
    assert torch.equal(last_state(folder), last_state(tiny_hf["hf_hubert"]))


@pytest.mark.parametrize("value", [True, False])
def test_do_normalize_is_honoured(value, copied):
    folder = copied("hf_hubert")
    edit(folder / "preprocessor_config.json", do_normalize=value)
    wavs, lengths = random_wavs([6000])
    encoder = load(str(folder))
    (quiet, _), (loud, _) = (encoder.hidden_states(scale * wavs, lengths) for scale in (1.0, 3.0))
    # the group norm hides most of the level, but not its epsilon
    assert torch.allclose(quiet[-1], loud[-1], atol=1e-4) == value


def test_a_missing_mask_vector_is_no_error(copied):
    folder = copied("hf_hubert")
    rewrite(folder, lambda state: {k: t for k, t in state.items() if "masked_spec_embed" not in k})
    assert load(str(folder)).mask_emb is None
    assert load(str(copied("hf_wavlm"))).mask_emb.shape == (32,)


def test_random_weights_follow_the_seed_and_need_no_file(copied, tiny_hf):
    from peft_asr.config import UpstreamConfig
    from peft_asr.upstream.hf import load_hf

    folder = copied("hf_hubert")
    (folder / SAFE).unlink()
    config = UpstreamConfig(name=f"hf:{folder}", random_init=True)
    before = torch.get_rng_state()
    one, same, other = (load_hf(config, seed).layers[0].q.weight for seed in (1, 1, 2))
    assert torch.equal(one, same) and not torch.equal(one, other)
    assert torch.equal(torch.get_rng_state(), before)


def test_nothing_in_a_directory_is_run(copied, tmp_path):
    folder, mark = copied("hf_hubert"), tmp_path / "ran"
    (folder / "evil.py").write_text(f"open({str(mark)!r}, 'w')\nclass Model: pass\n")
    code = {"AutoConfig": "evil.Model", "AutoModel": "evil.Model"}
    edit(folder / "config.json", auto_map=code, transformers_weights="evil.py")
    load(str(folder))
    assert not mark.exists()
    assert "evil" not in hf_geometry(str(folder)).config


class Payload:
    """Unpickling it creates a file."""

    def __init__(self, mark: Path):
        self.mark = mark

    def __reduce__(self):
        return Path.touch, (self.mark,)


def test_a_pickle_with_more_than_tensors_needs_trust(copied, tmp_path):
    folder, mark = copied("hf_hubert"), tmp_path / "ran"
    torch.save({**load_file(folder / SAFE), "x": Payload(mark)}, folder / PICKLED)
    (folder / SAFE).unlink()
    with pytest.raises(UserError, match="could run code .* upstream.trust_pickle=true"):
        load(str(folder))
    assert not mark.exists()
    with pytest.raises(UserError, match="names and tensors only"):
        load(str(folder), trust_pickle=True)
    assert mark.exists()


def _without_config(folder):
    (folder / "config.json").unlink()


def _without_extractor(folder):
    (folder / "preprocessor_config.json").unlink()


def _without_weights(folder):
    (folder / SAFE).unlink()


def _without_a_layer(folder):
    rewrite(folder, lambda state: {k: t for k, t in state.items() if "layers.1." not in k})


def _with_nan(folder):
    rewrite(folder, lambda state: {k: t * float("nan") if "layers.1." in k else t for k, t in state.items()})


def _cut_off(folder):
    data = (folder / SAFE).read_bytes()
    (folder / SAFE).write_bytes(data[: len(data) // 2])


def _cut_off_bin(folder):
    to_bin(folder)
    data = (folder / PICKLED).read_bytes()
    (folder / PICKLED).write_bytes(data[: len(data) // 2])


def _without_a_shard(folder):
    to_shards(folder)
    (folder / "model-00002-of-00002.safetensors").unlink()


def _shard_elsewhere(folder):
    to_shards(folder)
    edit(folder / f"{SAFE}.index.json", weight_map={"x": "../other.safetensors"})


def _config(**changes):
    return lambda folder: edit(folder / "config.json", **changes)


def _extractor(**changes):
    return lambda folder: edit(folder / "preprocessor_config.json", **changes)


@pytest.mark.parametrize(
    ("family", "spoil", "message"),
    [
        ("hf_hubert", _without_config, r"has no config\.json"),
        ("hf_hubert", lambda folder: (folder / "config.json").write_text("{"), "not readable JSON"),
        ("hf_hubert", lambda folder: (folder / "config.json").write_text("[]"), "must hold a JSON object"),
        ("hf_hubert", _without_extractor, r"has no preprocessor_config\.json"),
        ("hf_hubert", _without_weights, r"has no weights: expected model\.safetensors or pytorch_model\.bin"),
        ("hf_hubert", _without_a_layer, r"lacks weights of the encoder: encoder\.layers\.1\..* and 14 more"),
        ("hf_whisper", _without_a_layer, r"lacks weights of the encoder: layers\.1\."),
        ("hf_hubert", _with_nan, "NaN or infinite"),
        ("hf_hubert", _cut_off, "not a readable safetensors file"),
        ("hf_hubert", _cut_off_bin, "not a readable checkpoint"),
        ("hf_hubert", _without_a_shard, r"lists model-00002-of-00002\.safetensors, which is not there"),
        ("hf_hubert", _shard_elsewhere, "does not list shards of its own directory"),
        ("hf_hubert", _config(hidden_size=64), "the weights do not fit the model"),
        ("hf_hubert", _config(hidden_size="wide"), "does not describe a 'hubert' model"),
        ("hf_hubert", _config(num_attention_heads=5), "embed_dim must be divisible"),
        ("hf_hubert", _config(quantization_config={"load_in_4bit": True}), "quantised weights"),
        ("hf_wav2vec2_large", _config(adapter_attn_dim=16), "an adapter for each language"),
        ("hf_hubert", _config(model_type="wav2vec2-conformer"), "'wav2vec2-conformer' .* these fit: wav2vec2, hubert"),
        ("hf_hubert", _config(model_type="wav2vec2-bert"), "a 'wav2vec2-bert' model, whose layers do not fit"),
        ("hf_hubert", _config(model_type="seamless_m4t"), "a 'seamless_m4t' model"),
        ("hf_hubert", _config(model_type="no_such_type"), "a 'no_such_type' model"),
        ("hf_hubert", _config(model_type=None), "a 'None' model"),
        ("hf_hubert", _extractor(sampling_rate=8000), "8000 Hz; upstreams take 16000 Hz only"),
        ("hf_hubert", _extractor(feature_extractor_type="ASTFeatureExtractor"), "goes with a Wav2Vec2FeatureExtractor"),
        ("hf_whisper", _extractor(feature_size=24), "gives 24 mel bands .* describes 20 bands"),
        ("hf_whisper", _extractor(chunk_length=2), "of 32000 samples, but .* of 16000 samples"),
        ("hf_whisper", _extractor(dither=0.1), "adds noise"),
        ("hf_ast", _extractor(max_length=90), "90 frames x 24 mel bins, but .* 100 x 24"),
    ],
)  # fmt: skip
def test_bad_directories_are_refused_in_one_sentence(family, spoil, message, copied):
    folder = copied(family)
    spoil(folder)
    with pytest.raises(UserError, match=message) as err:
        load(str(folder))
    assert "\n" not in str(err.value)


def test_options_of_s3prl_upstreams_are_refused(tiny_hf):
    with pytest.raises(UserError, match="upstream.padding=s3prl is s3prl's"):
        load(tiny_hf["hf_hubert"], padding="s3prl")
    with pytest.raises(UserError, match="--upstream_ckpt does not go with"):
        load(tiny_hf["hf_hubert"], ckpt="x.pt")


@pytest.mark.parametrize("name", ["/no/such/place", "./nowhere", "nowhere", "a/b/c"])
def test_no_such_directory(name):
    with pytest.raises(UserError, match=f"there is no directory {name}; --upstream takes hf:DIRECTORY or"):
        hf_geometry(name)


def test_without_a_network_the_files_and_their_places_are_named(monkeypatch):
    def fail(*args, **options):
        raise LocalEntryNotFoundError("no connection")

    monkeypatch.setattr(huggingface_hub, "snapshot_download", fail)
    with pytest.raises(UserError) as err:
        load("facebook/hubert-base-ls960")
    for part in (
        "cannot download config.json of facebook/hubert-base-ls960 (LocalEntryNotFoundError)",
        "https://huggingface.co/facebook/hubert-base-ls960/tree/main", "config.json, preprocessor_config.json",
        "model.safetensors (or pytorch_model.bin)", "hf:DIRECTORY",
    ):  # fmt: skip
        assert part in str(err.value)


@pytest.mark.parametrize("form", [None, to_bin])
def test_a_repository_is_downloaded_no_further_than_needed(form, copied, tmp_path, monkeypatch):
    folder, asked = copied("hf_hubert"), []
    if form:
        form(folder)

    def download(name, allow_patterns):
        asked.append(allow_patterns)
        (tmp_path / "cache").mkdir(exist_ok=True)
        for file in folder.iterdir():
            if any(file.match(pattern) for pattern in allow_patterns):
                shutil.copy(file, tmp_path / "cache")
        return str(tmp_path / "cache")

    monkeypatch.setattr(huggingface_hub, "snapshot_download", download)
    assert hf_geometry("org/name").family == "hf_hubert"
    assert asked == [["config.json", "preprocessor_config.json", "processor_config.json"]]
    assert torch.equal(last_state("org/name"), last_state(folder))
    weights = asked[2:]
    assert [patterns[0] for patterns in weights] == ([SAFE, PICKLED] if form else [SAFE])


def test_a_repository_without_weights(copied, monkeypatch):
    folder = copied("hf_hubert")
    (folder / SAFE).unlink()
    monkeypatch.setattr(huggingface_hub, "snapshot_download", lambda name, allow_patterns: str(folder))
    with pytest.raises(
        UserError, match=r"cannot download pytorch_model\.bin of org/name \(it is not in the rep"
    ):
        load("org/name")
