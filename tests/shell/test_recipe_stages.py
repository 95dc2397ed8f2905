"""utils/recipe*.sh on a toy: which commands run with what, names, what is skipped and what is refused."""

import pytest

NAME = "asr_toy_model_lora"


def test_a_run_then_nothing_to_do(toy):
    result = toy()
    assert result.returncode == 0, result.stderr
    assert [line.split()[0] for line in toy.calls] == [
        "count", "data", *["validate-data-dir"] * 3, *["dump-audio"] * 3, "tokens", "dump-features", "train",
        "decode", "score", "results", "table",
    ]  # fmt: skip
    (train,) = toy.called("train")
    assert train["train_dir"] == "dump/audio/train" and train["valid_dir"] == "dump/audio/dev"
    assert train["token_dir"] == "dump/tokens/train_char" and train["exp"] == f"exp/{NAME}"
    assert toy.called("score")[0] == {
        "task": "asr",
        "ref": "dump/audio/test/text",
        "hyp": f"exp/{NAME}/decode_test/text",
        "out": f"exp/{NAME}/decode_test",
        "normalizer": "none",
        "token_dir": "dump/tokens/train_char",
    }
    for stage, title in enumerate(("data preparation", "audio dump", "training", "decoding", "scoring"), 1):
        assert f"stage {stage}: {title}" in result.stdout
    for log in ("dump/log/audio/dev.log", f"exp/{NAME}/log/train.log", f"exp/{NAME}/log/decode_test.log"):
        assert f"log: {log}" in result.stdout and (toy.folder / log).exists()
    again = toy()
    assert again.stdout.count("complete, skipped") == 6
    assert [line.split()[0] for line in toy.calls] == ["count", "table"]


def test_overwrite_runs_all_again(toy):
    toy()
    assert toy("--overwrite", "true").returncode == 0
    assert toy.called("train")[0]["overwrite"] == "true" and toy.called("decode")[0]["overwrite"] == "true"


@pytest.mark.parametrize(
    ("args", "name"),
    [
        (["--hours", "10"], f"{NAME}_10h"),
        (["--tag", "a b"], f"{NAME}_a_b"),
        (["--seed", "3", "--tag", "x"], f"{NAME}_x_seed3"),
        (["--token_type", "bpe", "--nbpe", "40"], f"{NAME}_bpe40"),
        (["--normalizer", "basic"], f"{NAME}_char_basic"),
        (["--train_set", "dev"], f"{NAME}_dev"),
        (["--valid_set", "test"], f"{NAME}_valid_test"),
        (["--min_wav_duration", ".5", "--max_wav_duration", "20"], f"{NAME}_min.5s_max20s"),
        (["--train_args", "train.lr=1e-4 train.accum=2"], f"{NAME}_train.lr=1e-4_train.accum=2"),
        (["--task", "lid"], "lid_toy_model_lora"),
    ],
)
def test_what_changes_the_result_is_in_the_name(toy, args, name):
    result = toy("--dry_run", "true", *args)
    assert result.returncode == 0, result.stderr
    assert f"--exp exp/{name} " in result.stdout


def test_duration_limits_reach_training_only(toy):
    result = toy("--dry_run", "true", "--min_wav_duration", "0.5", "--max_wav_duration", "20")
    having = [
        line.split()[0] for line in result.stdout.splitlines() if "data.min_s=0.5 data.max_s=20" in line
    ]
    assert len(having) == 3  # count, dump-features and train
    (train,) = [line for line in result.stdout.splitlines() if " train --config" in line]
    assert "data.min_s=0.5 data.max_s=20" in train


def test_two_normalisers_share_the_audio_and_nothing_else(toy):
    toy()
    result = toy("--normalizer", "basic")
    assert result.returncode == 0, result.stderr
    dumps = [(call["out"], call["normalizer"]) for call in toy.called("dump-audio")]
    assert dumps[:2] == [("dump/audio/train", "none"), ("dump/audio_basic/train", "basic")]
    basic = toy.folder / "dump" / "audio_basic" / "train"
    assert (basic / "flac").resolve() == toy.folder / "dump" / "audio" / "train" / "flac"
    assert (basic / "dump.jsonl").read_text() == "{}\n"
    assert toy.called("train")[0]["train_dir"] == "dump/audio_basic/train"
    assert toy.called("score")[0]["normalizer"] == "basic"
    # To and fro: everything of either is still there.
    for options in ([], ["--normalizer", "basic"]):
        assert toy(*options).stdout.count("complete, skipped") == 6, options


def test_shared_audio_keeps_the_transcripts_it_has(toy):
    """The recipe may have worked its normaliser out; another run must not rewrite its transcripts."""
    toy("--stop_stage", "2")
    for name in ("train", "dev", "test"):
        (toy.folder / "dump" / "audio" / name / "normalizer").write_text("french\n")
    toy("--stop_stage", "2", "--normalizer", "basic")
    assert {call["normalizer"] for call in toy.called("dump-audio") if "basic" not in call["out"]} == {
        "french"
    }


def test_the_recipes_own_normaliser_is_in_dump_audio(toy):
    script = toy.folder / "run.sh"
    script.write_text(script.read_text().replace("lang=\n", "lang=\nnormalizer=basic\n"))
    assert toy("--stop_stage", "2", "--lang", "fr").returncode == 0
    call = toy.called("dump-audio")[0]
    assert (call["out"], call["normalizer"], call["lang"]) == ("dump/audio/train", "basic", "fr")


@pytest.mark.parametrize("task", ["lid", "asr_lid"])
def test_tasks_with_languages(toy, task):
    result = toy("--task", task, LANGUAGES="yes")
    assert result.returncode == 0, result.stderr
    (tokens,) = toy.called("tokens")
    assert tokens["out"] == f"dump/tokens/train_char_{task}" and tokens["task"] == task
    assert tokens["utt2lang"] == "dump/audio/train/utt2lang"
    (score,) = toy.called("score")
    assert score["task"] == task and score["ref_lang"] == "dump/audio/test/utt2lang"
    assert score["hyp_lang"] == f"exp/{task}_toy_model_lora/decode_test/lang"
    # Another task in the same folder: its own tokens, the same audio.
    toy(LANGUAGES="yes")
    assert toy.called("tokens")[0]["out"] == "dump/tokens/train_char"
    assert toy.called("score")[0]["ref_lang"] == "dump/audio/test/utt2lang"
    assert toy("--task", task, LANGUAGES="yes").stdout.count("complete, skipped") == 6


def test_a_corpus_without_languages(toy):
    result = toy("--task", "lid")
    assert result.returncode == 1
    assert result.stderr == (
        "run.sh: error: --task lid needs the language of every utterance, and there is no data/train/utt2lang "
        "(lines 'utterance code', which this recipe's local/data.sh does not write)\n"
    )
    assert toy.called("dump-audio") == []


def test_phones(toy):
    (toy.folder / "words.txt").write_text("a A\n")
    result = toy("--task", "pr", "--lexicon", "words.txt")
    assert result.returncode == 0, result.stderr
    (tokens,) = toy.called("tokens")
    assert (tokens["type"], tokens["lexicon"], tokens["out"]) == (
        "phone",
        "words.txt",
        "dump/tokens/train_phone_words",
    )
    assert "lexicon" not in toy.called("decode")[0]


def test_new_transcripts_are_scored_again_and_old_training_is_refused(toy):
    toy()
    (toy.folder / "dump" / "audio" / "test" / "text").write_text("utt-1 other\n")
    toy("--stage", "4")
    assert toy.called("decode") == [] and len(toy.called("score")) == 1
    (toy.folder / "dump" / "audio" / "train" / "text").write_text("utt-1 other\n")
    result = toy("--stage", "3")
    assert (
        result.returncode == 1 and "was trained before the present dump/audio/train was made" in result.stderr
    )


def test_dump_and_exp_elsewhere(toy):
    assert toy("--dump_dir", "here/dump", "--exp_dir", "there", "--lm", "none").returncode == 0
    assert {path.split("/")[0] for path in toy.files()} >= {"here", "there"}
    assert not (toy.folder / "dump").exists() and not (toy.folder / "exp").exists()


def test_a_failing_job_ends_the_run_and_shows_its_end(toy):
    result = toy(FAIL="train")
    assert result.returncode == 1
    assert result.stderr.endswith(
        f"run.pl: the job failed with exit status 3, see above; log: exp/{NAME}/log/train.log\n"
    )
    assert "line 30" in result.stdout and toy.called("decode") == []
    result = toy(FAIL="score")
    assert "the end of" in result.stderr and "    line 30\n" in result.stderr
    assert "line 9\n" not in result.stderr and toy.called("results") == []


def test_gpus(toy):
    toy.script("bin/nvidia-smi", "#!/bin/sh\necho GPU 0: toy\n")
    result = toy("--dry_run", "true")
    assert "--gpu 1 " in result.stdout and "--ngpu 1 " in result.stdout
    result = toy("--dry_run", "true", "--ngpu", "4", "--num_nodes", "2")
    (train,) = [line for line in result.stdout.splitlines() if " train --config" in line]
    (decode,) = [line for line in result.stdout.splitlines() if " decode --exp" in line]
    assert "--gpu 4 " in train and "--ngpu 4 --num_nodes 2 " in train
    assert "--gpu 1 " in decode and "--ngpu 1 " in decode


def test_processes_on_a_cpu(toy):
    result = toy("--dry_run", "true", "--ngpu", "0", "--num_processes", "2")
    assert "--ngpu 0 --num_processes 2 " in result.stdout


def test_another_checkpoint_is_decoded_elsewhere(toy):
    toy()
    result = toy("--stage", "4", "--inference_ckpt", "best")
    assert result.returncode == 0, result.stderr
    (decode,) = toy.called("decode")
    assert decode["ckpt"] == "best" and decode["out"] == f"exp/{NAME}/decode_test_best"
    assert toy.called("results")[0]["sets"] == "test_best"
    assert toy("--stage", "4").stdout.count("complete, skipped") == 2


def test_the_recipes_note_is_kept(toy):
    script = toy.folder / "run.sh"
    script.write_text(
        script.read_text().replace("data_inputs=()", "data_inputs=()\nrecipe_note='not official'")
    )
    toy(DATA_TAIL="eval echo valid_set dev > data/partial")
    assert toy.called("results")[0]["note"] == "partial; not official"


def test_a_recipe_with_a_picture_has_it_drawn_anew(toy):
    assert toy().returncode == 0 and not any("--plot" in line for line in toy.calls)
    (toy.folder / "README.md").write_text("![](results.png)\n")
    script = toy.folder / "run.sh"
    script.write_text(script.read_text().replace("data_inputs=()", "data_inputs=()\nplot_tag='^bpe'"))
    toy()
    (call,) = toy.called("results")
    assert call == {"out": "RESULTS.md", "plot": "results.png", "plot_tag": "^bpe"}
    assert toy.calls[-1].startswith("table")
    # Once drawn, only after new results; a picture that cannot be drawn costs nothing else.
    (toy.folder / "results.jsonl").touch()
    (toy.folder / "results.png").touch()
    toy()
    assert toy.called("results") == []
    result = toy("--stage", "5", "--overwrite", "true", FAIL="no")
    assert result.returncode == 0
    (toy.folder / "results.jsonl").write_text("{}\n")
    result = toy(FAIL="results")
    assert result.returncode == 0 and "results.png stays as it was" in result.stdout


@pytest.mark.parametrize(
    ("args", "message"),
    [
        (["--task", "asd"], "unknown --task 'asd'; allowed: asr, pr, lid, asr_lid"),
        (["--task", "pr", "--token_type", "bpe"], "--task pr takes --token_type phone, not 'bpe'"),
        (["--task", "pr"], "--token_type phone needs --lexicon FILE; got ''"),
        (["--normalizer", "basics"], "unknown --normalizer 'basics' (did you mean 'basic'?)"),
        (["--dump_limit_gb", "all"], "--dump_limit_gb is a number of gigabytes, e.g. 50; got 'all'"),
        (["--dump", "none", "--dump_test", "true"], "--dump_test true decodes from activations, of which --dump none"),
        (["--lang", "zz"], "'zz' is the code of no language; give --lang one of two letters"),
        (["--lang", "qqq"], "'qqq' is the code of no language"),
        (["--lang", "French"], "'French' is no language code (did you mean 'fra'?)"),
        (["--lang", "de", "--normalizer", "french"], "--normalizer french is for French, and the language is 'de'"),
        (["--ngpu", "all"], "--ngpu is auto or a whole number from 0, got 'all'"),
        (["--num_nodes", "0"], "--num_nodes and --num_processes take whole numbers from 1, got '0'"),
        (["--ngpu", "2", "--num_processes", "2"], "--num_processes is for training on a CPU (--ngpu 0)"),
        (["--min_wav_duration", "a"], "--min_wav_duration and --max_wav_duration are seconds, e.g. 0.5; got 'a'"),
        (["--min_wav_duration", "5", "--max_wav_duration", "2"], "is not below --max_wav_duration 2"),
        (["--submit", "true"], "--submit true needs a cluster: give --cmd_backend slurm as well"),
        (["--decode_config", "none.yaml"], "there is no file 'none.yaml'"),
        (["--cmd_backend", "sge"], "unknown --cmd_backend 'sge'"),
    ],
)  # fmt: skip
def test_mistakes_cost_one_sentence(toy, args, message):
    result = toy(*args)
    assert result.returncode == 1
    assert message in result.stderr and result.stderr.count("\n") == 1
    assert not (toy.folder / "data").exists()
