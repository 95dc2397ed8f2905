"""egs/fsdd from audio to RESULTS.md in miniature, then again: what is skipped, redone, refused. In this order."""

import json
import os
import re
import signal
import subprocess
import time
from pathlib import Path

import pytest

from tests.recipes.digits import pack_few

SMALL = (
    "train.max_steps=4 train.valid_every=2 train.save_every=2 train.log_every=1 train.warmup_steps=0 "
    "data.batch_s=12 data.num_workers=0"
)


@pytest.fixture(scope="module")
def recipe(make_recipe, tiny_checkpoints, tmp_path_factory):
    """A recipe whose audio is a few real recordings and whose upstream is tiny; call it with further options."""
    recipe = make_recipe("fsdd")
    audio = pack_few(tmp_path_factory.mktemp("few") / "audio", numbers=(0, 5, 10))
    common = [
        "--db",
        audio,
        "--upstream",
        "hubert_base",
        "--upstream_ckpt",
        tiny_checkpoints["hubert"],
        "--nj",
        1,
    ]

    def run(*args, train_args=SMALL, **kwargs):
        return recipe(*common, "--train_args", train_args, *args, **kwargs)

    run.folder, run.environment, run.common = recipe.folder, recipe.environment, common
    return run


def experiments(recipe) -> list[str]:
    return sorted(path.name for path in (recipe.folder / "exp").glob("*"))


def rows(recipe) -> list[dict]:
    return [json.loads(line) for line in (recipe.folder / "results.jsonl").read_text().splitlines()]


def test_dry_run_prints_and_runs_nothing(recipe):
    before = sorted(recipe.folder.rglob("*"))
    result = recipe("--dry_run", "true")
    assert result.returncode == 0, result.stderr
    for command in ("local/data.sh", "dump-audio", " tokens ", " train ", " decode ", " score ", " results "):
        assert command in result.stdout
    assert sorted(recipe.folder.rglob("*")) == before


def test_stages_can_be_left_out(recipe):
    result = recipe("--dry_run", "true", "--skip_stages", "1 4", "--stop_stage", 4)
    assert [n for n in range(1, 6) if f"stage {n}:" in result.stdout] == [2, 3]


@pytest.mark.parametrize(
    ("args", "message"),
    [
        (["--stage", "9"], "there is no stage 9; allowed: 1 (data)"),
        (["--stage", "0"], "there is no stage 0; allowed: 1 (data)"),
        (["--stop_stage", "6"], "stage 6 (the report) does not exist yet"),
        (["--stage", "4", "--stop_stage", "2"], "nothing to run"),
        (["--stage", "2"], "stage 2 needs data/train, which stage 1 makes; run it with --stage 1"),
        (["--stage", "3"], "stage 3 needs what stages 1 and 2 make (data/train, dump/audio/train); run them"),
        (["--stage", "5"], "stage 5 needs what stages 1 and 2 make"),
        (["--stges", "3"], "unknown option --stges (did you mean --stage?)"),
        (["--split", "random"], "unknown --split 'random'; allowed: utterance, speaker"),
        (["--seeds", "0 x"], "--seed and --seeds take whole numbers from 0, got 'x'"),
        (["--nj", "0"], "--nj, --num_threads and --decode_nj take whole numbers from 1, got '0'"),
        (["--ngpu", "99"], "--ngpu 99: nvidia-smi lists "),
        (["--token_type", "word"], "unknown --token_type 'word'; allowed: char, bpe, unigram, phone"),
        (["--token_type", "phone"], "--token_type phone needs --lexicon FILE"),
        (["--cmd_backend", "sge"], "unknown --cmd_backend 'sge'; allowed: local"),
        (["--train_config", "conf/none.yaml"], "there is no file 'conf/none.yaml'"),
        (["--peft", ""], "--peft is empty"),
        (["lora"], "unexpected argument 'lora'; options are written --name value"),
    ],
)
def test_mistakes_cost_one_sentence(recipe, args, message):
    result = recipe(*args)
    assert result.returncode == 1
    assert message in result.stderr and result.stderr.count("\n") == 1
    assert not (recipe.folder / "data").exists()


@pytest.mark.parametrize(
    ("args", "message"),
    [
        (["--peft", "lora_al"], "unknown method 'lora_al' (did you mean 'lora_all'?)"),
        (["--peft", "lora", "--peft_args", "lora.rnk=4"], "rnk"),
        (["--upstream", "hubert_bse", "--upstream_ckpt", ""], "unknown upstream 'hubert_bse'"),
        (
            ["--dump", "layer:2"],
            "--dump layer:2: with --peft lora_all training changes what lies above layer:0",
        ),
        (
            ["--dump_dtype", "int8"],
            "data.dump_dtype=int8 (run.sh: --dump_dtype); allowed: auto, float16, float32",
        ),
    ],
)
def test_unknown_names_are_found_before_any_work(recipe, args, message):
    result = recipe(*args)
    assert result.returncode == 1
    (line,) = result.stderr.splitlines()
    assert line.startswith("run.sh: error: ") and message in line
    assert not (recipe.folder / "data").exists()


def test_an_unknown_config_key_is_found_before_any_work(recipe):
    result = recipe(train_args="train.max_stps=3")
    assert result.returncode == 1
    assert "max_stps" in result.stderr and "max_steps" in result.stderr
    result = recipe(train_args="train.schedule=foo train.betas=[0.9, 0.98]")
    assert result.returncode == 1
    assert result.stderr.startswith("run.sh: error: train.schedule=foo; allowed: constant, linear")
    assert result.stderr.count("\n") == 1
    assert not (recipe.folder / "data").exists()


def test_stages_one_to_five(recipe):
    result = recipe("--peft", "lora_all", "--tag", "whole")
    assert result.returncode == 0, result.stdout + result.stderr
    for stage in ("1: data preparation", "2: audio dump", "3: training", "4: decoding", "5: scoring"):
        assert f"stage {stage}" in result.stdout
    (row,) = rows(recipe)
    assert (row["set"], row["seed"], row["method"]) == ("test", 0, "lora_all")
    assert "--peft lora_all" in row["command"] and "--tag whole" in row["command"]
    last = result.stdout.splitlines()[-4:]
    assert "WER %" in last[0] and last[1].startswith("test") and f"{row['wer']:.2f}" in last[1]
    assert last[2].startswith("trainable parameters: ") and f"{row['trainable']:,}" in last[2]
    assert last[3].startswith("saved adapter: ")
    (name,) = experiments(recipe)
    assert name.startswith("asr_hubert_base_lora_all_hubert_") and name.endswith("_whole")
    assert "_train.max_steps=4" in name
    exp = recipe.folder / "exp" / name
    assert re.search("starting from activations at .* in float16", (exp / "train.log").read_text())
    assert (exp / "adapter" / "adapter.safetensors").exists() and (
        exp / "decode_test" / "score_wer" / "result.txt"
    ).exists()
    assert "whole" in (recipe.folder / "RESULTS.md").read_text()


def test_second_run_skips_every_stage_and_shows_the_result(recipe):
    result = recipe("--peft", "lora_all", "--tag", "whole")
    assert result.returncode == 0, result.stderr
    assert result.stdout.count("complete, skipped") == 6  # the five stages and the activations
    assert result.stdout.splitlines()[-1].startswith("saved adapter: ")


def test_training_again_from_stage_three(recipe):
    times = {p: p.stat().st_mtime_ns for p in (recipe.folder / "dump").rglob("*")}
    result = recipe("--stage", 3, "--stop_stage", 3, "--peft", "frozen", "--seed", 1)
    assert result.returncode == 0, result.stdout + result.stderr
    assert "stage 3" in result.stdout and "stage 2" not in result.stdout and "stage 4" not in result.stdout
    assert {p: p.stat().st_mtime_ns for p in (recipe.folder / "dump").rglob("*")} == times
    assert any("frozen" in name and name.endswith("_seed1") for name in experiments(recipe))


def test_another_normaliser_shares_the_audio(recipe):
    dump = recipe.folder / "dump"
    times = {path: path.stat().st_mtime_ns for path in (dump / "audio").rglob("*.flac")}
    result = recipe("--stage", 2, "--stop_stage", 2, "--normalizer", "mlsuperb")
    assert result.returncode == 0, result.stdout + result.stderr
    assert {path: path.stat().st_mtime_ns for path in (dump / "audio").rglob("*.flac")} == times
    own, other = (dump / folder / "dev" / "text" for folder in ("audio", "audio_mlsuperb"))
    words = [line.split()[1:] for line in own.read_text().splitlines()]
    assert [line.split()[1:] for line in other.read_text().splitlines()] == [
        [word.upper() for word in line] for line in words
    ]
    for line in other.with_name("wav.scp").read_text().splitlines():
        assert "audio_mlsuperb" in line and Path(line.split()[1]).is_file()
    assert (dump / "tokens" / "train_bpe60_mlsuperb" / "tokens.txt").exists()
    assert "complete, skipped" in recipe("--stage", 2, "--stop_stage", 2).stdout


def test_beam_search_with_an_lm_of_the_training_text(recipe):
    for package in ("flashlight.lib.text", "kenlm", "kaldingram"):
        pytest.importorskip(package)
    options = ("--stage", 2, "--peft", "lora_all", "--tag", "whole", "--lm", "auto", "--lm_order", 2)
    result = recipe(*options)
    assert result.returncode == 0, result.stdout + result.stderr
    (exp,) = (recipe.folder / "exp").glob("*_lora_all_*_whole")
    assert (recipe.folder / "dump" / "lm" / "train_bpe60" / "2gram.arpa").read_text().startswith("\\data\\")
    assert (exp / "tuned_2gram.yaml").exists() and (exp / "decode_test_2gram" / "text").exists()
    assert {row["set"] for row in rows(recipe) if row["method"] == "lora_all"} == {"test", "test_2gram"}
    again = recipe(*options)
    assert again.stdout.count("complete, skipped") == 7  # the five stages, the n-gram and the activations


def test_the_set_that_is_absent_is_named(recipe):
    table = recipe.folder / "dump" / "audio" / "dev" / "wav.scp"
    table.rename(table.with_name("hidden"))
    try:
        result = recipe("--stage", 3)
    finally:
        table.with_name("hidden").rename(table)
    assert result.returncode == 1
    assert "stage 3 needs dump/audio/dev, which stage 2 makes; run it with --stage 2" in result.stderr


def test_stage_five_wants_stage_four(recipe):
    result = recipe("--stage", 5, "--peft", "frozen", "--seed", 1)
    assert result.returncode == 1
    assert "which stage 4 makes; run it with --stage 4" in result.stderr and result.stderr.count("\n") == 1


def test_stage_four_wants_stage_three(recipe):
    result = recipe("--stage", 4, "--peft", "frozen", "--seed", 7)
    assert result.returncode == 1
    assert "which stage 3 makes; run it with --stage 3" in result.stderr and result.stderr.count("\n") == 1


def test_grid_goes_through_methods_and_seeds(recipe):
    result = recipe("--stage", 3, "--peft", "frozen lora+weighted_sum", "--seeds", "1 2", "--dry_run", "true")
    trained = [line for line in result.stdout.splitlines() if " train " in line]
    assert [(line.split("--peft ")[1].split()[0], line.split("--seed ")[1].split()[0]) for line in trained] == [
        ("frozen", "1"), ("frozen", "2"), ("lora+weighted_sum", "1"), ("lora+weighted_sum", "2")
    ]  # fmt: skip


def test_grid_ends_with_one_table(recipe):
    result = recipe("--stage", 3, "--peft", "frozen", "--seeds", "1 2")
    assert result.returncode == 0, result.stdout + result.stderr
    head, line = result.stdout.splitlines()[-2:]
    assert head.split()[:4] == ["method", "tag", "set", "seeds"]
    assert line.split()[0] == "frozen" and " 2 " in line and "+-" in line
    done = [row for row in rows(recipe) if row["method"] == "frozen"]
    assert [row["seed"] for row in done] == [1, 2]
    assert all(f"--peft frozen --seed {row['seed']}" in row["command"] for row in done)


def test_other_options_in_the_same_experiment_are_refused(recipe):
    config = recipe.folder / "conf" / "train.yaml"
    text = config.read_text()
    config.write_text(text.replace("lr_head:", "lr_method: 7.0e-3\n  lr_head:"))
    try:
        result = recipe("--stage", 3, "--peft", "lora_all", "--tag", "whole")
        assert result.returncode == 1
        assert (
            "train.lr_method" in result.stderr + result.stdout
            and "--overwrite true" in result.stderr + result.stdout
        )
        again = recipe(
            "--stage", 3, "--stop_stage", 3, "--peft", "lora_all", "--tag", "whole", "--overwrite", "true"
        )
        assert again.returncode == 0, again.stdout + again.stderr
    finally:
        config.write_text(text)


def test_experiment_older_than_its_data_is_not_taken_for_current(recipe):
    for name in ("train", "dev"):
        table = recipe.folder / "dump" / "audio" / name / "wav.scp"
        os.utime(table, (time.time() + 1, time.time() + 1))
    result = recipe("--stage", 3, "--peft", "frozen", "--seed", 1)
    assert result.returncode == 1
    assert "was trained before the present dump/audio/train was made" in result.stderr
    now = time.time() - 100
    for name in ("train", "dev"):
        os.utime(recipe.folder / "dump" / "audio" / name / "wav.scp", (now, now))


def test_interrupted_training_goes_on(recipe):
    endless = SMALL.replace("max_steps=4", "max_steps=100000").replace("log_every=1", "log_every=1000")
    command = ["./run.sh", *map(str, recipe.common), "--train_args", endless, "--stage", "3", "--tag", "cut"]
    process = subprocess.Popen(
        command,
        cwd=recipe.folder,
        env=recipe.environment(),
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
        start_new_session=True,
    )
    exp = recipe.folder / "exp"
    while not list(exp.glob("*_cut/state/*")):
        assert process.poll() is None
        time.sleep(0.1)
    process.send_signal(signal.SIGINT)
    output, _ = process.communicate()
    assert process.returncode == 130
    assert "interrupted; the same command goes on from here" in output
    (folder,) = exp.glob("*_cut")
    # Nothing trains there any more: a second run gets the lock, and starts after the steps that are done.
    result = subprocess.Popen(
        command,
        cwd=recipe.folder,
        env=recipe.environment(),
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    seen = []
    for line in result.stdout:
        seen.append(line)
        if "resum" in line or "go on" in line or "going on" in line:
            break
    result.send_signal(signal.SIGTERM)
    result.communicate()
    assert result.returncode == 143, "".join(seen)
    assert any("resum" in line or "go on" in line or "going on" in line for line in seen), "".join(seen)
    assert not (folder / "adapter").exists()
