"""egs/mlsuperb_10min stage 1 on a synthetic tree of the benchmark's form; the recipe's options; stages 1 to 5 on it."""

import importlib.util
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import soundfile

from peft_asr.data.kaldi import DataDir
from peft_asr.files import read_json
from tests.recipes.commands import trainings

CONF = Path(__file__).resolve().parents[2] / "egs" / "mlsuperb_10min" / "conf"
SOURCES = (CONF / "sources.tsv").read_text().split()[1:]
PREFIXES = {"commonvoice": "cv", "googlei18n_asr": "googlei18n-asr", "googlei18n_tts": "googlei18n-tts"}
LETTERS = {"fra": "é", "rus": "ж", "cmn": "你好中国", "tur": "ı"}


def rows_of(name: str) -> list[list[str]]:
    return [line.split("\t") for line in (CONF / f"{name}.tsv").read_text().splitlines()[1:]]


def write_pair(tree: Path, source: str, lang: str, train: list[str] = ()) -> None:
    """Transcripts of 3 (1h: 4) training, 2 dev and 2 test utterances of 1 s; ``train``: further training names."""
    rng, folder = np.random.default_rng(0), tree / source / lang
    (folder / "wav").mkdir(parents=True)
    stem = f"{PREFIXES.get(source, source)}_{lang}"
    parts = {
        "10min_train": [f"{stem}_0091{n:02d}" for n in range(3)] + list(train),
        "1h_train": [f"{stem}_0091{n:02d}" for n in range(4)] + list(train),
        "10min_dev": [f"{stem}_0092{n:02d}" for n in range(2)],
        "10min_test": [f"{stem}_0093{n:02d}" for n in range(2)],
    }
    for part, names in parts.items():
        lines = [f"{name} original-{name} Word's {LETTERS.get(lang, 'ab')}, {name[-2:]}" for name in names]
        (folder / f"transcript_{part}.txt").write_text("\n".join(lines) + "\n", encoding="utf-8")
        for name in names:
            samples = 0.1 * rng.standard_normal(16000)
            soundfile.write(folder / "wav" / f"{name}.wav", samples, 16000, subtype="PCM_16")


def write_tree(tree: Path) -> Path:
    """All 14 sources, one language each but for English in three; few-shot Turkish in commonvoice and fleurs."""
    languages = {"nchlt": "eng", "voxpopuli": "eng", "mls": "eng", "fleurs": "cmn", "M-AILABS": "rus"}
    for source in SOURCES:
        write_pair(tree, source, languages.get(source, "fra"))
    fixed = dict(rows_of("few_shot"))["tur"].split()
    write_pair(tree, "commonvoice", "tur", [name for name in fixed if name.startswith("cv_")])
    write_pair(tree, "fleurs", "tur", [name for name in fixed if name.startswith("fleurs_")])
    return tree


@pytest.fixture(scope="module")
def tree(tmp_path_factory) -> Path:
    return write_tree(tmp_path_factory.mktemp("tree"))


@pytest.fixture
def broken(tree, tmp_path) -> Path:
    """A copy to break."""
    return shutil.copytree(tree, tmp_path / "tree")


@pytest.fixture
def recipe(make_recipe):
    """Expects as many languages as the synthetic tree has."""
    made = make_recipe("mlsuperb_10min")
    script = made.folder / "local" / "whole.py"
    script.write_text(script.read_text().replace("BENCHMARK_LANGUAGES = 143", "BENCHMARK_LANGUAGES = 5"))
    return made


def prepare(recipe, tree: Path, *args: object) -> subprocess.CompletedProcess:
    return recipe("--db", tree, *args, script="local/data.sh")


def python(recipe, script: str, *args: object) -> subprocess.CompletedProcess:
    """Run a script of local/ in the recipe's environment."""
    command = [sys.executable, f"local/{script}", *map(str, args)]
    env = recipe.environment() | {"PYTHONPATH": str(CONF.parents[2])}
    return subprocess.run(command, cwd=recipe.folder, capture_output=True, text=True, env=env)


def refused(result: subprocess.CompletedProcess) -> str:
    """The one line of an error."""
    assert result.returncode == 1
    (line,) = [line for line in result.stderr.splitlines() if "error:" in line]
    assert "Traceback" not in result.stderr
    return line


def test_the_tables_are_the_benchmarks():
    assert len(SOURCES) == 14
    tracks = rows_of("tracks")
    assert len(tracks) == 13 and len({lang for _, lang, _ in tracks}) == 9
    assert {source for _, _, source in tracks} <= set(SOURCES)
    few_shot = rows_of("few_shot")
    assert len(few_shot) == 20
    for lang, names in few_shot:
        assert len(set(names.split())) == 5
        assert all(name.split("_")[-2] == lang for name in names.split())
    known = {code for code, _, _ in rows_of("languages")}
    assert known >= {lang for lang, _ in few_shot} | {lang for _, lang, _ in tracks}
    assert "spa_mls" not in dict(rows_of("pairs"))["cuevas2025"].split()
    assert len(dict(rows_of("pairs"))["cuevas2025"].split()) == 7


def test_multi_takes_all_pairs_and_five_fixed_utterances(recipe, tree):
    result = prepare(recipe, tree)
    assert result.returncode == 0 and result.stderr == ""
    assert "found 14 of 14 sources and 5 of 5 languages" in result.stdout
    data = recipe.folder / "data"
    assert not (data / "partial").exists()
    train, dev, test = (DataDir.load(data / name) for name in ("train_10min", "dev_10min", "test_10min"))
    assert len(train.text) == 14 * 3 + 5 and len(dev.text) == len(test.text) == 16 * 2
    turkish = sorted(utt for utt, lang in train.utt2lang.items() if lang == "tur")
    assert turkish == sorted(dict(rows_of("few_shot"))["tur"].split())
    assert train.text["mls_eng_009100"] == "Word's ab, 00"  # as the corpus has it; the dump normalises
    assert train.utt2lang["M-AILABS_rus_009100"] == "rus"
    assert train.utt2spk["mls_eng_009100"] == "mls_eng_009100"
    assert train.recordings["cv_fra_009100"] == str(
        tree / "commonvoice" / "fra" / "wav" / "cv_fra_009100.wav"
    )


def test_an_hour_trains_on_its_own_transcript(recipe, tree):
    assert prepare(recipe, tree, "--size", "1h").returncode == 0
    data = recipe.folder / "data"
    assert len(DataDir.load(data / "train_1h").text) == 14 * 4 + 5
    assert len(DataDir.load(data / "dev_10min").text) == 32


def test_a_track_trains_on_its_source_and_is_tested_on_all(recipe, tree):
    assert prepare(recipe, tree, "--track", "mono", "--lang", "eng2", "--suffix", "_eng2").returncode == 0
    data = recipe.folder / "data"
    assert {utt.split("_")[0] for utt in DataDir.load(data / "train_10min_eng2").text} == {"nchlt"}
    assert {utt.split("_")[0] for utt in DataDir.load(data / "dev_10min_eng2").text} == {"nchlt"}
    tested = {utt.split("_")[0] for utt in DataDir.load(data / "test_10min_eng2").text}
    assert tested == {"mls", "nchlt", "voxpopuli"}


def test_a_pair_is_tested_on_its_own_source(recipe, tree):
    assert prepare(recipe, tree, "--track", "mono", "--lang", "eng_mls", "--suffix", "_x").returncode == 0
    tested = DataDir.load(recipe.folder / "data" / "test_10min_x").text
    assert {utt.split("_")[0] for utt in tested} == {"mls"}


def test_mandarin_becomes_phones(recipe, tree):
    pytest.importorskip("pypinyin")
    result = prepare(recipe, tree, "--track", "mono", "--lang", "cmn", "--suffix", "_cmn")
    assert result.returncode == 0, result.stderr
    text = DataDir.load(recipe.folder / "data" / "train_10min_cmn").text
    assert text["fleurs_cmn_009100"] == "WORDS n i3 h ao3 zh ong1 g uo2 00"


def test_phones_are_tokens_without_a_lexicon(recipe, tree, tiny_checkpoint):
    pytest.importorskip("pypinyin")
    model = ("--upstream", "hubert_base", "--upstream_ckpt", tiny_checkpoint)
    result = recipe("--db", tree, "--track", "mono", "--lang", "cmn", *model, "--stop_stage", 2, "--nj", 1)
    assert result.returncode == 0, result.stdout[-3000:] + result.stderr[-3000:]
    tokens = (recipe.folder / "dump/tokens/train_10min_cmn_phone/tokens.txt").read_text().split("\n")
    assert tokens[:2] == ["<blank>", "<unk>"] and {"zh", "ong1", "n", "i3"} <= set(tokens)


@pytest.mark.parametrize("lang, module", [("jpn", "pyopenjtalk"), ("cmn", "pypinyin")])
def test_phones_without_their_package(lang, module, monkeypatch):
    spec = importlib.util.spec_from_file_location("phones", CONF.parent / "local" / "phones.py")
    phones = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(phones)
    monkeypatch.setitem(sys.modules, module, None)  # an import of it fails
    with pytest.raises(phones.UserError, match=f"needs {module}: pip install {module}"):
        phones.to_phones("你好", lang)


def test_japanese_becomes_phones():
    pytest.importorskip("pyopenjtalk")
    spec = importlib.util.spec_from_file_location("phones", CONF.parent / "local" / "phones.py")
    phones = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(phones)
    assert phones.to_phones("こんにちは", "jpn") == "k o N n i ch i w a"


def test_no_tree(recipe, tmp_path):
    assert f"there is no folder {tmp_path}/nowhere; --db names" in refused(
        prepare(recipe, tmp_path / "nowhere")
    )
    (tmp_path / "clips").mkdir()
    error = refused(prepare(recipe, tmp_path))
    assert (
        "is not the ML-SUPERB tree: expected folders <source>/<language>" in error and "found clips" in error
    )


def test_half_a_tree(recipe, broken):
    shutil.rmtree(broken / "mls")
    shutil.rmtree(broken / "NST")
    error = refused(prepare(recipe, broken))
    assert "found 12 of 14 sources" in error and "missing: sources NST, mls; --allow_partial true" in error
    assert not (recipe.folder / "data").exists()
    assert prepare(recipe, broken, "--allow_partial", "true").returncode == 0
    assert (recipe.folder / "data" / "partial").exists()


def test_all_sources_with_some_of_the_languages(make_recipe, broken):
    """Fourteen folders are not the benchmark; a language of another source does not count for one of its own."""
    recipe = make_recipe("mlsuperb_10min")
    write_pair(broken, "mboshi", "mdw")
    error = refused(prepare(recipe, broken))
    assert "is not whole: found 14 of 14 sources and 5 of 143 languages; missing: 138 languages, " in error
    assert "among them bos, ceb, dan, deu, epo, frr; --allow_partial true" in error
    assert not (recipe.folder / "data").exists()
    result = prepare(recipe, broken, "--allow_partial", "true")
    assert result.returncode == 0 and "warning: " in result.stderr and "138 languages" in result.stderr
    assert (recipe.folder / "data" / "partial").exists()


def test_download_says_where_it_comes_from(recipe, tree, tmp_path):
    result = recipe("--db", tmp_path, "--stop_stage", 1, "--download", "true")
    assert "https://multilingual.superbbenchmark.org" in refused(result)
    assert f"{tmp_path}/SOURCE/LANGUAGE/transcript_10min_train.txt" in result.stderr
    assert prepare(recipe, tree, "--download", "true").returncode == 0  # it is there


def test_a_missing_transcript(recipe, broken):
    (broken / "swc" / "fra" / "transcript_1h_train.txt").unlink()
    error = refused(prepare(recipe, broken, "--size", "1h"))
    assert "swc/fra/transcript_1h_train.txt: No such file" in error
    assert "has transcript_10min_dev.txt, transcript_10min_test.txt, transcript_10min_train.txt" in error


@pytest.mark.parametrize("line", ["mls_eng_009100 original", "eng009100 original TEXT"])
def test_a_malformed_line(recipe, broken, line):
    transcript = broken / "mls" / "eng" / "transcript_10min_dev.txt"
    transcript.write_text(transcript.read_text() + line + "\n")
    error = refused(prepare(recipe, broken))
    assert f"{transcript}:3 is not '<prefix>_<language>_<number> <name> TEXT'" in error


def test_a_transcript_in_another_encoding(recipe, broken):
    transcript = broken / "mls" / "eng" / "transcript_10min_dev.txt"
    transcript.write_bytes("mls_eng_009200 x caf\u00e9\n".encode("latin-1"))
    assert f"{transcript} is not UTF-8" in refused(prepare(recipe, broken))


def test_few_shot_utterances_that_are_missing(recipe, broken):
    transcript = broken / "commonvoice" / "tur" / "transcript_10min_train.txt"
    lines = [line for line in transcript.read_text().splitlines() if not line.startswith("cv_tur_000095")]
    transcript.write_text("\n".join(lines) + "\n")
    error = refused(prepare(recipe, broken))
    assert "few-shot language tur: 1 of its five training utterances are missing: cv_tur_000095" in error
    result = prepare(recipe, broken, "--allow_partial", "true")
    assert result.returncode == 0 and "warning: few-shot language tur" in result.stderr


def test_empty_and_absent_audio(recipe, broken):
    wav = broken / "swc" / "fra" / "wav"
    (wav / "swc_fra_009100.wav").write_bytes(b"RIFF" + bytes(40))
    result = prepare(recipe, broken)
    assert result.returncode == 0 and "1 empty audio files are left out" in result.stdout
    (wav / "swc_fra_009101.wav").unlink()
    error = refused(prepare(recipe, broken))
    assert "1 transcript lines have no audio" in error and "swc_fra_009101.wav; --allow_partial true" in error
    assert len(list(wav.iterdir())) == 7  # the corpus is only read


@pytest.mark.parametrize(
    "args, message",
    [
        (("--track", "mono"), "--track mono needs --lang"),
        (("--track", "mon"), "unknown --track 'mon'; allowed: multi, mono"),
        (("--size", "5min"), "unknown --size '5min'; allowed: 10min, 1h"),
        (("--lang", "eng1"), "--lang eng1 goes with --track mono"),
        (("--track", "mono", "--lang", "eng1", "--task", "lid"), "--task lid tells languages apart"),
    ],
)
def test_options_that_do_not_go_together(recipe, args, message):
    assert message in refused(recipe(*args))


@pytest.mark.parametrize(
    "args, message",
    [
        (("--track", "mono", "--lang", "engl"), "unknown --lang 'engl' (did you mean 'eng"),
        (
            ("--track", "mono", "--lang", "deu1"),
            "trains on swc/deu, which is not there; sources of deu in this tree: none",
        ),
        (("--pairs", "cuevas"), "unknown --pairs 'cuevas' (did you mean 'cuevas2025'?)"),
        (("--pairs", "cuevas2025"), "of which the tree lacks deu_swc"),
    ],
)
def test_tracks_and_pairs_that_are_not_there(recipe, tree, args, message):
    assert message in refused(prepare(recipe, tree, *args))


def test_a_small_tree_of_common_voice(recipe, tmp_path):
    """make_small_tree.py: the benchmark's layout and few-shot names from Common Voice's."""
    rng = np.random.default_rng(0)
    for lang in ("fr", "tr"):
        folder = tmp_path / "cv" / lang
        (folder / "clips").mkdir(parents=True)
        for part, count in (("train", 7), ("dev", 2), ("test", 2)):
            rows = ["client_id\tpath\tsentence"]
            for number in range(count):
                name = f"common_voice_{lang}_{part}{number}.wav"
                soundfile.write(folder / "clips" / name, 0.1 * rng.standard_normal(24000), 48000)
                rows.append(f"a\t{name}\tPhrase {number}.")
            (folder / f"{part}.tsv").write_text("\n".join(rows) + "\n")
    small = tmp_path / "small"
    result = python(recipe, "make_small_tree.py", small, "--common_voice", tmp_path / "cv")
    assert result.returncode == 0, result.stderr
    assert "tur: train 7, dev 2, test 2 utterances" in result.stdout
    result = prepare(recipe, small, "--allow_partial", "true")
    assert result.returncode == 0, result.stderr
    train = DataDir.load(recipe.folder / "data" / "train_10min")
    assert len([utt for utt, lang in train.utt2lang.items() if lang == "fra"]) == 7
    assert {utt for utt, lang in train.utt2lang.items() if lang == "tur"} == set(
        dict(rows_of("few_shot"))["tur"].split()
    )
    assert soundfile.info(train.recordings["fleurs_tur_000060"]).samplerate == 16000


@pytest.mark.parametrize(("pairs", "mono"), [("all", 13), ("cuevas2025", 7)])
def test_one_command_for_the_benchmark(recipe, tree, tiny_checkpoint, pairs, mono):
    model = ["--upstream_ckpt", tiny_checkpoint]
    result = recipe("--pairs", pairs, "--dry_run", "true", "--", "--db", tree, *model, script="local/all.sh")
    made = trainings(result)
    assert len({one["exp"] for one in made}) == len(made) == mono + 3
    # 15,000 batches for a language, 300,000 for all: the benchmark's two schedules.
    assert [one["config"] for one in made] == ["conf/train.yaml"] * mono + ["conf/train_multi.yaml"] * 3


def test_joint_task_from_tree_to_summary(recipe, tree, tiny_checkpoint):
    """Stages 1 to 5 of asr_lid with the benchmark's head, and the tables made of them."""
    model = ("--upstream", "hubert_base", "--upstream_ckpt", tiny_checkpoint)
    steps = "train.max_steps=2 train.valid_every=2 train.accum=1 data.num_workers=0 head.hidden=16"
    steps += " head.attention_heads=2"
    result = recipe(
        "--db", tree, "--task", "asr_lid", *model, "--train_args", steps, "--nj", 1, "--num_threads", 1
    )
    assert result.returncode == 0, result.stdout[-3000:] + result.stderr[-3000:]
    tokens = (recipe.folder / "dump/tokens/train_10min_char_asr_lid/tokens.txt").read_text().split("\n")
    assert tokens[:7] == ["<blank>", "<unk>", "[cmn]", "[eng]", "[fra]", "[rus]", "[tur]"]
    assert "É" in tokens and "é" not in tokens and "'" not in tokens
    (decoded,) = recipe.folder.glob("exp/asr_lid_*/decode_test_10min")
    assert set(read_json(decoded / "score_cer/result.json")["by_lang"]) == {"cmn", "eng", "fra", "rus", "tur"}
    summary = python(recipe, "summary.py", "--upstream", "hubert_base", "--peft", "weighted_sum")
    assert summary.returncode == 0, summary.stderr
    assert "| few-shot | 1 |" in summary.stdout
    assert "missing: mono, multi, lid" in summary.stdout
