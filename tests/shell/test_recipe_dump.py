"""--dump and what goes with it, on a toy: what stage 2 keeps, when it does so again, what training and decoding get."""

import pytest

from tests.shell.toy_recipe import ToyRecipe

NAME = "asr_toy_model_lora"
FROZEN = "dump/frozen"


def commands(toy: ToyRecipe) -> list[str]:
    return [line.split()[0] for line in toy.calls]


def test_stage_two_keeps_them_and_training_starts_there(toy):
    result = toy("--nj", 3)
    assert result.returncode == 0, result.stderr
    (dump,) = toy.called("dump-features")
    assert (dump["dump"], dump["dump_dir"], dump["dump_dtype"]) == ("auto", FROZEN, "auto")
    assert (dump["nj"], dump["ngpu"], dump["dump_limit_gb"], dump["seed"]) == ("3", "0", "50.0", "0")
    assert dump["peft"] == "lora" and dump["upstream"] == "toy_model"
    (line,) = [line for line in toy.calls if line.startswith("dump-features")]
    assert "--data dump/audio/train dump/audio/dev --dump auto" in line
    assert commands(toy).index("tokens") < commands(toy).index("dump-features") < commands(toy).index("train")
    (train,) = toy.called("train")
    assert (train["dump"], train["dump_dir"], train["dump_dtype"]) == ("auto", FROZEN, "auto")
    assert train["exp"] == f"exp/{NAME}" and "dump_dir" not in toy.called("decode")[0]
    assert f"log: dump/log/frozen_{NAME}.log" in result.stdout
    assert (toy.folder / "dump" / "log" / f"frozen_{NAME}.log").exists()
    again = toy("--stage", 2, "--stop_stage", 2)
    assert f"complete, skipped: {FROZEN} has what lora starts from" in again.stdout
    assert commands(toy) == ["count"]


def test_none(toy):
    assert toy("--dump", "none").returncode == 0
    (train,) = toy.called("train")
    assert toy.called("dump-features") == [] and train["dump"] == "none" and "dump_dir" not in train
    assert train["exp"] == f"exp/{NAME}_dump_none"
    assert not (toy.folder / FROZEN).exists()


@pytest.mark.parametrize(
    ("args", "name"),
    [
        (["--dump", "auto"], NAME),
        (["--dump", "layer:3"], f"{NAME}_dump_layer_3"),
        (["--dump_dtype", "float32"], f"{NAME}_dump_dtype_float32"),
        (["--dump", "all", "--dump_dtype", "float16"], f"{NAME}_dump_all_dump_dtype_float16"),
        (["--dump_limit_gb", "0.5", "--dump_test", "true"], NAME),
    ],
)
def test_what_was_asked_for_is_in_the_name(toy, args, name):
    result = toy("--dry_run", "true", *args)
    assert result.returncode == 0, result.stderr
    (dump,) = [line for line in result.stdout.splitlines() if " dump-features " in line]
    assert f"--exp exp/{name} " in result.stdout and f"log/frozen_{name}.log" in dump
    for word in [f"{option} {value}" for option, value in zip(args[::2], args[1::2], strict=True)]:
        assert word in dump or word.startswith("--dump_test")


def test_a_recipes_own_default_is_not_in_the_name(toy):
    script = toy.folder / "run.sh"
    script.write_text(script.read_text().replace("lang=\n", "lang=\ndump=frontend\n"))
    assert toy().returncode == 0
    assert toy.called("train")[0]["dump"] == "frontend" and toy.called("train")[0]["exp"] == f"exp/{NAME}"


def test_each_method_once_whatever_the_seeds(toy):
    assert toy("--peft", "frozen lora", "--seeds", "0 1").returncode == 0
    assert [call["peft"] for call in toy.called("dump-features")] == ["frozen", "lora"]
    assert len(toy.called("train")) == 4
    assert toy("--stage", 2, "--stop_stage", 2, "--peft", "frozen lora", "--seed", 1).returncode == 0
    assert toy.called("dump-features") == []


@pytest.mark.parametrize("place", ["arguments", "file"])
def test_random_weights_have_their_own_for_each_seed(toy, place):
    args = ["--seeds", "0 1"]
    if place == "arguments":
        args += ["--train_args", "upstream.random_init=true"]
    else:
        (toy.folder / "conf" / "train.yaml").write_text("upstream: {random_init: true}\n")
    assert toy(*args).returncode == 0
    assert [call["seed"] for call in toy.called("dump-features")] == ["0", "1"]
    assert toy(*args).returncode == 0 and toy.called("dump-features") == []


def test_another_normaliser_has_its_own(toy):
    assert toy("--normalizer", "basic").returncode == 0
    assert (
        toy.called("dump-features")[0]["dump_dir"] == toy.called("train")[0]["dump_dir"] == f"{FROZEN}_basic"
    )


def test_test_sets_where_asked(toy):
    toy()
    result = toy("--dump_test", "true")
    assert result.returncode == 0, result.stderr
    (line,) = [line for line in toy.calls if line.startswith("dump-features")]
    assert "--data dump/audio/train dump/audio/dev dump/audio/test --dump" in line
    assert toy.called("train") == []
    (decode,) = toy.called("decode")
    assert decode["dump_dir"] == FROZEN and decode["out"] == f"exp/{NAME}/decode_test"


def test_new_audio_is_dumped_again_and_leaves_training_alone(toy):
    toy()
    (toy.folder / "dump" / "audio" / "dev" / "wav.scp").touch()
    toy("--stage", 2, "--stop_stage", 2)
    assert commands(toy) == ["count", "dump-features"]
    # The other way round: what stage 2 writes for another method is no reason to train again.
    toy("--overwrite", "true")
    assert toy("--stage", 2, "--stop_stage", 2, "--peft", "frozen").returncode == 0
    assert len(toy.called("dump-features")) == 1
    result = toy("--stage", 3)
    assert result.returncode == 0 and toy.called("train") == []


def test_on_a_gpu_with_one_process(toy):
    toy.script("bin/nvidia-smi", "#!/bin/sh\necho GPU 0: toy\n")
    result = toy("--dry_run", "true", "--ngpu", 1)
    (dump,) = [line for line in result.stdout.splitlines() if " dump-features " in line]
    assert "run.pl --gpu 1 " in dump and "--ngpu 1" in dump


def test_what_the_check_says_ends_the_run_before_the_first_stage(toy):
    said = 'echo noise >&2; echo "peft-asr count: error: --dump layer:9: no" >&2; exit 1'
    python = toy.folder / "bin" / "python3"
    python.write_text(
        python.read_text().replace("command=$1\n", f"command=$1\n[ $1 != count ] || {{ {said}; }}\n")
    )
    result = toy("--dump", "layer:9")
    assert result.returncode == 1 and result.stderr == "run.sh: error: --dump layer:9: no\n"
    assert commands(toy) == ["count"]
    check = toy.called("count")[0]
    assert (check["check"], check["dump"], check["dump_dir"]) == ("true", "layer:9", FROZEN)
    # Data can be prepared where the upstream is not.
    result = toy("--stop_stage", 2)
    assert result.returncode == 0 and "no activations are kept: --dump layer:9: no" in result.stdout
    assert toy.called("dump-features") == [] and len(toy.called("dump-audio")) == 3
    assert toy("--stop_stage", 2, "--dump", "auto").returncode == 1
    assert toy("--stop_stage", 2, "--dump", "none").returncode == 0 and toy.called("count") == []


def test_settings_with_blanks_stay_whole(toy):
    args = "train.lr_parts={lora: 1e-3, head: 5e-4}  train.betas=[0.9, 0.98]"
    assert toy("--train_args", args).returncode == 0
    for command in ("count", "dump-features", "train"):
        assert toy.called(command)[0]["train_args"] == args
    (results,) = toy.called("results")
    assert f'--train_args "{args}"' in results["command"]
    assert toy("--train_args", args).stdout.count("complete, skipped") == 6


def test_a_cluster_gives_stage_two_no_gpu(toy):
    toy.script("bin/sbatch", "#!/bin/sh\n")
    toy.script("bin/sinfo", "#!/bin/sh\ncase $3 in %G) echo gpu:1 ;; *) echo 8 ;; esac\n")
    options = ["--cmd_backend", "slurm", "--submit", "true", "--dump", "all", "--dump_test", "true"]
    result = toy("--dry_run", "true", *options)
    assert result.returncode == 0, result.stderr
    jobs = [line for line in result.stdout.splitlines() if " --wait false " in line]
    assert len(jobs) == 5
    for stage, job in enumerate(jobs, start=1):
        assert "--dump all --dump_test true" in job and f"--stage {stage} " in job
        ngpu = job.rpartition("--ngpu ")[2].split()[0]
        assert ngpu == ("1" if stage in (3, 4) else "0")
