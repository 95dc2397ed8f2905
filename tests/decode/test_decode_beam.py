"""Stage 4 by beam search, and the tuning of its weights, with a tiny adapter on real files."""

import json
import os
import sys
from pathlib import Path

import pytest
import torch
import yaml

from peft_asr.bin.main import main
from peft_asr.config import DecodeConfig
from peft_asr.data.tables import read_table, write_table
from peft_asr.decode import log_probs
from peft_asr.decode.beam import BeamSearch
from peft_asr.decode.decode import decode
from peft_asr.decode.recogniser import Recogniser
from peft_asr.decode.tune import tune_decode
from peft_asr.errors import UserError
from tests.decode.small_world import TOKENS, save_tiny_adapter, write_dump, write_lm

pytest.importorskip("flashlight.lib.text")
pytest.importorskip("kenlm")

SECONDS = [0.5, 1.2, 0.9, 2.0]


@pytest.fixture
def world(tmp_path, tiny_checkpoint):
    """exp/ with a finished training, dump/, lm.arpa of the tokens, words.arpa and words.lst."""
    save_tiny_adapter(tmp_path / "exp" / "adapter", tiny_checkpoint)
    write_dump(tmp_path / "dump", SECONDS)
    write_lm(tmp_path / "lm.arpa", TOKENS[2:])
    write_lm(tmp_path / "words.arpa", ["abc", "d", "ef", "gg"])
    (tmp_path / "words.lst").write_text("abc a b c |\nd d |\nef e f |\ngg g g |\n")
    return tmp_path


def run(world: Path, name: str, **options) -> dict[str, str]:
    """Decode to exp/decode_<name>; the texts."""
    out = world / "exp" / f"decode_{name}"
    decode(str(world / "exp"), str(world / "dump"), str(out), **options)
    return read_table(out / "text", allow_empty=True)


def test_hypotheses_are_the_searchs(world):
    lm = str(world / "lm.arpa")
    texts = run(world, "beam", lm=lm, overrides=["decode.lm_weight=0.5", "decode.beam=20"], nbest=3)
    recogniser = Recogniser(world / "exp")
    options = DecodeConfig(search="beam", lm=lm, lm_weight=0.5, beam=20, nbest=3)
    search = BeamSearch(recogniser.tokenizer, options)
    samples = write_dump(world / "again", SECONDS)
    out = world / "exp" / "decode_beam"
    tables = {
        (k, name): read_table(out / "nbest" / f"{k}best_recog" / name, allow_empty=True)
        for k in (1, 2, 3)
        for name in ("text", "score", "am_score", "lm_score")
    }
    for utt, wav in samples.items():
        (output,) = recogniser.outputs(torch.from_numpy(wav)[None], torch.tensor([len(wav)]))
        found = search(output.log_probs)
        expected = [recogniser.task.read(one.ids).text for one in found]
        assert texts[utt] == expected[0] == tables[1, "text"][utt]
        assert [tables[k, "text"].get(utt) for k in (1, 2, 3)] == list(dict.fromkeys(expected)) + [None] * (
            3 - len(set(expected))
        )
        assert float(tables[1, "score"][utt]) == pytest.approx(found[0].score, abs=2e-3)
        total = float(tables[1, "am_score"][utt]) + 0.5 * float(tables[1, "lm_score"][utt])
        assert total == pytest.approx(found[0].score, abs=2e-3)
    assert texts != run(world, "greedy")
    assert not (out / "lang").exists()


def test_processes_and_batches_change_nothing(world):
    for name, options in (("one", {}), ("three", {"nj": 3}), ("alone", {"nj": 2, "batch_s": 0.01})):
        run(world, name, lm=str(world / "lm.arpa"), nbest=2, **options)
    files = ["text", "score", "nbest/2best_recog/text", "nbest/2best_recog/score"]
    for file in files:
        contents = {(world / "exp" / f"decode_{n}" / file).read_text() for n in ("one", "three")}
        assert len(contents) == 1
    texts = {(world / "exp" / f"decode_{n}" / "text").read_text() for n in ("one", "alone")}
    assert len(texts) == 1


def test_words(world):
    texts = run(world, "words", lm=str(world / "words.arpa"), lexicon=str(world / "words.lst"))
    assert any(texts.values())
    assert {word for text in texts.values() for word in text.split()} <= {"abc", "d", "ef", "gg"}


def test_languages_are_read_greedily_and_kept_out_of_the_search(world, tiny_checkpoint):
    """The LM knows no languages; the file ``lang`` is the same with and without it."""
    exp = world / "exp"
    save_tiny_adapter(exp / "adapter", tiny_checkpoint, task="asr_lid", languages=("fra", "rus"))
    write_table(world / "dump" / "utt2lang", {f"spk-{i:02d}": "fra" for i in range(len(SECONDS))})
    run(world, "greedy")
    texts = run(world, "beam", lm=str(world / "lm.arpa"))
    languages = read_table(exp / "decode_greedy" / "lang", allow_empty=True)
    assert languages and set(languages.values()) <= {"", "fra", "rus"}
    assert (exp / "decode_beam" / "lang").read_bytes() == (exp / "decode_greedy" / "lang").read_bytes()
    assert any(texts.values()) and not any("[" in text for text in texts.values())
    assert tune(world, lm=str(world / "lm.arpa"), grid={"lm_weight": "0.5", "sil_score": "0"})


def test_another_lm_or_weight_decodes_again(world):
    lm = str(world / "lm.arpa")
    arguments = (str(world / "exp"), str(world / "dump"), str(world / "exp" / "decode_x"))
    assert decode(*arguments, lm=lm, nbest=2)
    assert not decode(*arguments, lm=lm, nbest=2, nj=2)
    assert decode(*arguments, lm=lm, nbest=2, overrides=["decode.lm_weight=0.5"])
    assert decode(*arguments, lm=lm, overrides=["decode.lm_weight=0.5"])
    assert not Path(arguments[2], "nbest").exists()
    now = Path(arguments[2], "text").stat().st_mtime_ns
    os.utime(lm, ns=(now + 10**9, now + 10**9))
    assert decode(*arguments, lm=lm, overrides=["decode.lm_weight=0.5"])
    report = json.loads(Path(arguments[2], "decode.json").read_text())
    assert (report["decode"]["search"], report["decode"]["lm"]) == ("beam", str(Path(lm).resolve()))


def test_units_that_are_not_the_tokens(world):
    with pytest.raises(
        UserError, match="words.arpa are not the 8 tokens .25% of its units are, and e.g. 'abc' is not"
    ):
        run(world, "x", lm=str(world / "words.arpa"))
    (world / "more.lst").write_text((world / "words.lst").read_text() + "zz\n")
    with pytest.raises(UserError, match="more.lst:5: the word 'zz' has 'z', which the 10 tokens do not have"):
        run(world, "x", lm=str(world / "words.arpa"), lexicon=str(world / "more.lst"))
    with pytest.raises(UserError, match="lm.arpa are not the words of the lexicon"):
        run(world, "x", lm=str(world / "lm.arpa"), lexicon=str(world / "words.lst"))


def test_without_flashlight(world, monkeypatch):
    monkeypatch.setitem(sys.modules, "flashlight.lib.text.decoder", None)
    with pytest.raises(
        UserError,
        match=r"beam search needs the package flashlight-text: pip install 'peft_asr\[lm\]'; decode.search=greedy",
    ):
        run(world, "x", lm=str(world / "lm.arpa"))
    assert run(world, "greedy", overrides=["decode.search=greedy"])


def tune(world: Path, **options) -> dict | None:
    """The tuned section, or None if there was nothing to do."""
    out = world / "exp" / "tuned_lm.yaml"
    if not tune_decode(str(world / "exp"), str(world / "dump"), str(out), **options):
        return None
    return yaml.safe_load(out.read_text())["decode"]


def test_tuning(world, capsys):
    lm = str(world / "lm.arpa")
    grid = {"lm_weight": "0 0.5 1", "sil_score": "0 -2"}
    tuned = tune(world, lm=lm, grid=grid, metric="cer", nj=2)
    printed = capsys.readouterr().out.splitlines()
    record = json.loads((world / "exp" / "tuned_lm.json").read_text())
    assert printed[0].startswith("cer of 4 utterances of ")
    assert len(printed) == 1 + len(record["table"])
    best = min(record["table"], key=lambda row: row["rate"])
    assert best["rate"] == record["rate"] == record["table"][-1]["best"]
    assert (tuned["search"], tuned["lm"]) == ("beam", str(Path(lm).resolve()))
    # The file decodes to the rate that it was chosen for.
    texts = run(world, "tuned", files=[str(world / "exp" / "tuned_lm.yaml")])
    from peft_asr.score.rates import error_rate

    rate = error_rate(["abc d"] * 4, [texts[utt] for utt in sorted(texts)], "char")
    assert rate == pytest.approx(record["rate"], abs=0.01)
    # One process, and the search over it again, give the same files.
    before = (world / "exp" / "tuned_lm.yaml").read_bytes(), (world / "exp" / "tuned_lm.json").read_bytes()
    assert tune(world, lm=lm, grid=grid, metric="cer") is None
    assert tune(world, lm=lm, grid=grid, metric="cer", overwrite=True)
    assert before == (
        (world / "exp" / "tuned_lm.yaml").read_bytes(),
        (world / "exp" / "tuned_lm.json").read_bytes(),
    )


def test_what_is_kept_is_used_for_the_same_adapter_and_audio_only(
    world, monkeypatch, tiny_checkpoint, caplog
):
    runs = []
    real = Recogniser.outputs
    monkeypatch.setattr(Recogniser, "outputs", lambda *args: runs.append(1) or real(*args))
    options = {"lm": str(world / "lm.arpa"), "grid": {"lm_weight": "0.5", "sil_score": "0"}}
    assert tune(world, **options) and len(runs) == 1
    assert (
        tune(world, lexicon=str(world / "words.lst"), lm=str(world / "words.arpa"), grid={})
        and len(runs) == 1
    )
    save_tiny_adapter(world / "exp" / "adapter", tiny_checkpoint, spec="bitfit")
    assert tune(world, **options) and len(runs) == 2
    flac = next((world / "dump" / "flac").iterdir())
    os.utime(flac, ns=(1, 1))
    assert tune(world, **options) and len(runs) == 3
    values = world / "exp" / "logprobs_dump" / "log_probs.f16"
    values.write_bytes(values.read_bytes()[:-2])
    assert tune(world, overwrite=True, **options) and len(runs) == 4
    (world / "dump" / "text").write_text((world / "dump" / "text").read_text().replace("abc", "cba"))
    assert tune(world, **options) and len(runs) == 4


def test_kept_log_probabilities(world):
    from peft_asr.data.dataset import SpeechDataset
    from peft_asr.data.loader import SpeechLoader
    from peft_asr.decode.decode import compute

    recogniser = Recogniser(world / "exp")
    dataset = SpeechDataset.load(str(world / "dump"), recogniser.task, role="valid")
    outputs = dict(compute(recogniser, SpeechLoader(dataset, 3.0, shuffle=False, num_workers=0)))
    kept = log_probs.keep(world / "kept", {"x": 1}, outputs.items())
    assert kept.utts == list(outputs) and len(kept) == 4
    for i, utt in enumerate(kept.utts):
        assert kept[i].log_probs.shape == outputs[utt].log_probs.shape
        torch.testing.assert_close(
            torch.from_numpy(kept[i].log_probs),
            torch.from_numpy(outputs[utt].log_probs),
            rtol=1e-3,
            atol=1e-4,
        )
    assert log_probs.find(world / "kept", {"x": 2}) is None
    assert log_probs.find(world / "kept", {"x": 1}).utts == kept.utts


def test_tuning_needs_an_lm_and_weights_that_exist(world):
    lm = str(world / "lm.arpa")
    with pytest.raises(UserError, match="tuning chooses the weight of a language model, and there is none"):
        tune(world)
    with pytest.raises(
        UserError, match="--word_scores: this search has no decode.word_score; it has lm_weight and sil"
    ):
        tune(world, lm=lm, grid={"word_score": "0 1"})
    with pytest.raises(UserError, match="--lm_weights '1 x': could not convert string to float: 'x'"):
        tune(world, lm=lm, grid={"lm_weight": "1 x"})
    with pytest.raises(UserError, match="--metric per does not exist for the task asr; allowed: wer, cer"):
        tune(world, lm=lm, metric="per")


def test_checkpoints(world, tiny_checkpoint):
    exp = world / "exp"
    for step in (20, 100):
        save_tiny_adapter(exp / "checkpoints" / f"step_{step}", tiny_checkpoint, only_blank=step == 20)
    summary = {"best_step": 20, "averaged_steps": [20, 100]}
    (exp / "summary.json").write_text(json.dumps(summary))
    assert not any(run(world, "best", ckpt="best").values())
    usual = run(world, "usual")
    for ckpt in ("100", "step_100", str(exp / "checkpoints" / "step_100"), "average"):
        assert run(world, "other", ckpt=ckpt, overwrite=True) == usual
    report = json.loads((exp / "decode_best" / "decode.json").read_text())
    assert report["adapter"].endswith("checkpoints/step_20")
    with pytest.raises(UserError, match=r"--ckpt 7: no such checkpoint .* a step that was kept \(20, 100\)"):
        run(world, "x", ckpt="7")
    (exp / "summary.json").write_text(json.dumps(summary | {"averaged_steps": [20]}))
    with pytest.raises(UserError, match="--ckpt average: the adapter of .* is step 20 alone"):
        run(world, "x", ckpt="average")


def test_commands(world, capsys):
    exp, dump, lm = str(world / "exp"), str(world / "dump"), str(world / "lm.arpa")
    config = str(world / "exp" / "tuned.yaml")
    tuning = [
        "tune-decode",
        "--exp",
        exp,
        "--data",
        dump,
        "--lm",
        lm,
        "--out",
        config,
        "--lm_weights",
        "0.5 1",
    ]
    assert main([*tuning, "--sil_scores", "0"]) == 0
    decoding = ["decode", "--exp", exp, "--data", dump, "--out", f"{exp}/decode_x", "--decode_config", config]
    assert main([*decoding, "--nbest", "2", "--nj", "2"]) == 0
    assert (world / "exp" / "decode_x" / "nbest" / "2best_recog" / "text").is_file()
    capsys.readouterr()
    assert main([*decoding, "--lm", "none"]) == 1
    assert "decode.lm_weight=" in capsys.readouterr().err
    assert main(["decode", "--exp", exp, "--data", dump, "--out", f"{exp}/y", "--set", "decode.beam=5"]) == 1
    assert (
        "decode.beam=5 is an option of the beam search, and the search is greedy" in capsys.readouterr().err
    )
