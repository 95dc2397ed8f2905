"""`peft-asr count` and the command line itself."""

import argparse
import json
import urllib.error
from unittest import mock

import pytest

from peft_asr.bin import doctor
from peft_asr.bin import main as main_module
from peft_asr.bin.main import COMMANDS, main
from peft_asr.bin.options import add_config_arguments, config_from_arguments, split_settings
from peft_asr.upstream import HUB


def test_count_as_json(capsys):
    assert main(["count", "--upstream", "hubert_base", "--peft", "lora", "--json"]) == 0
    report = json.loads(capsys.readouterr().out)
    assert report["trainable"] == 294_912 and report["total"] == 94_370_944
    assert report["sites"]["layers.0.q"] == 2 * 8 * 768 and len(report["sites"]) == 24


def test_count_as_a_table(capsys):
    assert main(["count", "--upstream", "xls_r_300m", "--peft", "weighted_sum"]) == 0
    assert capsys.readouterr().out.splitlines()[-1].startswith("trainable")


def test_count_of_a_local_checkpoint(capsys, tiny_checkpoint):
    arguments = [
        "--upstream",
        "mine",
        "--upstream_ckpt",
        tiny_checkpoint,
        "--peft",
        "lora",
        "--peft_args",
        "lora.rank=2",
    ]
    assert main(["count", *arguments, "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["trainable"] == 3 * 2 * 2 * 64


@pytest.mark.parametrize(
    ("arguments", "status", "message"),
    [
        (["cuont"], 2, "unknown command 'cuont' (did you mean 'count'?)"),
        (["count", "--peft", "lroa"], 1, "unknown method 'lroa' (did you mean 'lora'?) for --peft; peft-asr"),
        (["count", "--peft", "xyz"], 1, "unknown method 'xyz'; allowed for --peft: adalora, "),
        (["count", "--upstream", "hubrt"], 1, "unknown upstream 'hubrt'"),
        (["count", "--upstream", "hf"], 1, "'peft-asr upstreams' lists, hf:DIRECTORY or hf:ORG/NAME"),
        (["count", "--peft_args", "rank=4"], 1, "--peft_args takes method.option=value"),
        (["count", "--peft_args", "lora.layers=[0,"], 1, "a closing ] is missing in 'lora.layers=[0,'"),
        (
            ["count", "--train_args", "train.lr"],
            1,
            "--train_args takes key=value, e.g. train.lr=1e-4; got 'train.lr'",
        ),
        (["count", "--train_args", "train.betas=0.9]"], 1, "']' closes nothing in 'train.betas=0.9]'"),
        (["count", "--set", "trian.lr=1"], 1, "unknown option 'trian'"),
    ],
)
def test_bad_input_is_one_line(arguments, status, message, capsys):
    assert main(arguments) == status
    error = capsys.readouterr().err.strip()
    assert message in error and "Traceback" not in error and len(error.splitlines()) == 1


@pytest.mark.parametrize("place", ["_module", "add_arguments", "run"])
def test_interrupted_anywhere_it_says_so(place, monkeypatch, capsys):
    def stop(*args):
        raise KeyboardInterrupt

    monkeypatch.setattr(main_module if place == "_module" else doctor, place, stop)
    assert main(["doctor"]) == 130
    assert capsys.readouterr().err == "peft-asr doctor: interrupted; run the same command again to go on\n"


def test_overview_names_every_command(capsys):
    assert main([]) == 0
    text = capsys.readouterr().out
    assert all(name in text for name in COMMANDS)


def test_a_peft_config_file(capsys, tmp_path):
    path = tmp_path / "peft.yaml"
    path.write_text("spec: lora\noptions: {lora: {rank: 2, layers: [0, 11]}}\n")
    assert main(["count", "--peft_config", str(path), "--json"]) == 0
    output = capsys.readouterr()
    assert json.loads(output.out)["trainable"] == 2 * 2 * 2 * 2 * 768
    assert output.err == ""


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("options: {lora: 3}\n", "options of 'lora' must be key: value pairs"),
        ("- lora\n", "'peft' is a section with keys"),
        ("spce: lora\n", "unknown option 'peft.spce' in --peft_config"),
    ],
)
def test_a_bad_peft_config_file(capsys, tmp_path, text, message):
    path = tmp_path / "peft.yaml"
    path.write_text(text)
    assert main(["count", "--peft_config", str(path)]) == 1
    assert message in capsys.readouterr().err


@pytest.mark.parametrize(
    ("text", "settings"),
    [
        (" ", []),
        ("a.b=1  c.d=[0, 1]\te={a: 1, b: [2, 3]}", ["a.b=1", "c.d=[0, 1]", "e={a: 1, b: [2, 3]}"]),
        ("a='x y' b=\"] z\" c=it's", ["a='x y'", 'b="] z"', "c=it's"]),
    ],
)
def test_blanks_inside_brackets_and_quotes_do_not_separate(text, settings):
    assert split_settings(text) == settings


def test_settings_in_one_string(capsys):
    arguments = ["count", "--set", "seed=1", "--train_args", "train.betas=[0.8, 0.9] seed=2"]
    parser = argparse.ArgumentParser()
    add_config_arguments(parser)
    config = config_from_arguments(parser.parse_args(arguments[1:]))
    assert config.train.betas == [0.8, 0.9] and config.seed == 2
    assert main(["count", "--peft_args", "lora.layers=[0, 1] lora.rank=2", "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["trainable"] == 2 * 2 * 2 * 2 * 768


@pytest.fixture
def check(tiny_checkpoint, capsys):
    """What `count --check true` says of a run on a tiny upstream, or None."""

    def run(*arguments: str) -> str | None:
        common = ["count", "--check", "true", "--upstream", "mine", "--upstream_ckpt", tiny_checkpoint]
        status = main([*common, *arguments])
        output = capsys.readouterr()
        assert output.out == "" and (status == 0) == (output.err == "")
        return output.err.removeprefix("peft-asr count: error: ").strip() or None

    return run


@pytest.mark.parametrize(
    "arguments",
    [
        [],
        ["--peft", "weighted_sum", "--dump", "all", "--dump_dtype", "float32"],
        [
            "--peft",
            "e_adapter",
            "--train_args",
            "train.lr_parts={e_adapter: 1e-3, e_adapter.norm: 5e-4, head: 1}",
        ],
        ["--peft", "full", "--dump", "auto"],
        ["--lm", "absent.arpa", "--train_args", "decode.lm_weight=1"],
    ],
)
def test_a_check_that_finds_nothing_says_nothing(check, arguments):
    assert check(*arguments) is None


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--train_args", "train.schedule=foo"], "train.schedule=foo; allowed: constant, linear"),
        (["--train_args", "train.max_steps=-4"], "train.max_steps=-4 cannot be; allowed: 0 or more"),
        (["--train_args", "train.lr_parts={lroa: 1}"], "train.lr_parts names 'lroa' (did you mean 'lora'?)"),
        (["--train_args", "train.lr_parts={lora: 0}"], "train.lr_parts.lora=0.0 cannot be; allowed: more than 0"),
        (["--train_args", "decode.lm_weight=1"], "decode.lm_weight=1.0 is an option of the beam search"),
        (["--lm", "x.arpa", "--train_args", "decode.beam=0"], "decode.beam=0 is too small; allowed: 1 and more"),
        (["--dump", "layers"], "data.dump=layers (run.sh: --dump); allowed: none, auto, conv, frontend, layer:K, all"),
        (["--dump", "layer:9"], "layer:9"),
        (["--dump", "layer:1"], "--dump layer:1: with --peft lora training changes what lies above layer:0"),
        (["--dump_dtype", "int8"], "data.dump_dtype=int8 (run.sh: --dump_dtype); allowed: auto, float16, float32"),
        (["--peft", "full", "--dump", "conv"], "--dump conv: --peft full trains the upstream from its first"),
        (["--train_args", "train.frozen_alone=true upstream.padding=s3prl"], "needs upstream.padding=exact"),
    ],
)  # fmt: skip
def test_what_a_check_finds(check, arguments, message):
    said = check(*arguments)
    assert message in said and "\n" not in said


def test_a_decoding_configuration_is_checked(check, tmp_path):
    file = tmp_path / "beam.yaml"
    file.write_text("decode: {search: beam, word_score: 1}\n")
    assert "decode.word_score=1 goes with a lexicon" in check("--decode_config", str(file))
    assert check("--decode_config", str(file), "--lexicon", "absent.txt") is None


def test_weights_that_cannot_be_fetched_are_missed_at_once(monkeypatch, tmp_path, capsys):
    from s3prl.util import download

    monkeypatch.setattr(download, "_download_dir", tmp_path)
    monkeypatch.setattr("urllib.request.urlopen", lambda *args, **options: 1 / 0)
    assert main(["count", "--check", "true"]) == 1
    said = capsys.readouterr().err
    assert "cannot download the upstream hubert_base (ZeroDivisionError): fetch https://" in said
    assert f"and put it at {tmp_path}" in said and len(said.splitlines()) == 1
    # The host answers, whatever it says to a question without a download.
    error = urllib.error.HTTPError("https://x", 403, "no", None, None)
    monkeypatch.setattr("urllib.request.urlopen", mock.Mock(side_effect=error))
    assert main(["count", "--check", "true"]) == 0
    # Nothing is asked where the file is here.
    monkeypatch.setattr("urllib.request.urlopen", lambda *args, **options: 1 / 0)
    assert main(["count", "--check", "true", "--upstream", "mini_hubert"]) == 0
    url = HUB["hubert_base"].url
    open(download._urls_to_filepaths(url, download=False), "wb").close()
    assert main(["count", "--check", "true"]) == 0
