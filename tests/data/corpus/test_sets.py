"""How utterances get into sets, and what ids and segments they get."""

import pytest

from peft_asr.bin.main import main
from peft_asr.data.corpus import import_corpus, list_sets
from peft_asr.data.kaldi import DataDir
from peft_asr.errors import UserError
from tests.data.corpus.small_corpus import table, write_audio


def write_speakers(folder, counts: dict[str, int]):
    """``all.tsv`` with so many utterances of each speaker."""
    lines = ["path\ttext\tspeaker"]
    for speaker, count in counts.items():
        write_audio(folder / f"{speaker}.wav", 0.2)
        for number in range(count):
            (folder / f"{speaker}{number}.wav").symlink_to(folder / f"{speaker}.wav")
            lines.append(f"{speaker}{number}.wav\tword {number}\t{speaker}")
    (folder / "all.tsv").write_text("\n".join(lines) + "\n")
    return folder / "all.tsv"


def speakers(folder) -> set[str]:
    return set(DataDir.load(folder).utt2spk.values())


def test_drawn_by_speaker_with_a_seed(tmp_path):
    corpus = write_speakers(tmp_path, {f"s{i:02d}": 3 for i in range(20)})
    done = import_corpus(str(corpus), tmp_path / "a")
    sets = {name: speakers(tmp_path / "a" / name) for name in ("train", "dev", "test")}
    assert [len(s) for s in sets.values()] == [16, 2, 2]
    assert (
        not sets["train"] & sets["dev"]
        and not sets["train"] & sets["test"]
        and not sets["dev"] & sets["test"]
    )
    assert done.notes == [
        "dev: drawn by speaker, 2 of 20, --data_seed 0",
        "test: drawn by speaker, 2 of 18, --data_seed 0",
    ]
    assert done.sets["train"] == "48 utterances, 16 speakers, 0.00 h"
    import_corpus(str(corpus), tmp_path / "b")
    for name in ("wav.scp", "text", "utt2spk", "spk2utt"):
        assert (tmp_path / "a" / "dev" / name).read_bytes() == (tmp_path / "b" / "dev" / name).read_bytes()
    import_corpus(str(corpus), tmp_path / "c", data_seed=1)
    assert speakers(tmp_path / "c" / "dev") != sets["dev"]


@pytest.mark.parametrize("seed", range(4))
def test_one_who_speaks_most_stays_in_train(tmp_path, seed):
    corpus = write_speakers(tmp_path, {"loud": 40, **{f"s{i}": 4 for i in range(10)}})
    import_corpus(str(corpus), tmp_path / "data", data_seed=seed)
    assert "loud" in speakers(tmp_path / "data" / "train")
    assert len(DataDir.load(tmp_path / "data" / "dev").text) == 8


def test_three_speakers_are_enough_two_are_not(tmp_path):
    (tmp_path / "three").mkdir()
    corpus = write_speakers(tmp_path / "three", {"a": 9, "b": 3, "c": 5})
    import_corpus(str(corpus), tmp_path / "data")
    assert [speakers(tmp_path / "data" / s) for s in ("train", "dev", "test")] == [{"a"}, {"b"}, {"c"}]
    (tmp_path / "two").mkdir()
    with pytest.raises(UserError, match=r"no test set can be drawn by speaker: too few speakers \(1 left\)"):
        import_corpus(str(write_speakers(tmp_path / "two", {"a": 9, "b": 3})), tmp_path / "other")
    assert not (tmp_path / "other").exists()


def test_without_a_dev_set_it_is_drawn_from_train(corpus, tmp_path):
    rows = table().replace("\tvalidation", "\ttrain")
    (corpus / "all.tsv").write_text(rows)
    done = import_corpus(str(corpus / "all.tsv"), tmp_path)
    assert speakers(tmp_path / "dev") == {"bob"} and speakers(tmp_path / "train") == {"ann"}
    assert done.notes == ["dev: drawn by speaker, 1 of 2, --data_seed 0"]


def test_without_a_test_set_dev_is_tested_on(corpus, tmp_path):
    rows = [row for row in table().splitlines() if "\ttest" not in row]
    (corpus / "all.tsv").write_text("\n".join(rows) + "\n")
    import_corpus(str(corpus / "all.tsv"), tmp_path, prefix="x_")
    assert (tmp_path / "x_sets").read_text() == "train_set x_train\nvalid_set x_dev\ntest_sets x_dev\n"
    assert (tmp_path / "x_sets").read_text() == list_sets(str(corpus / "all.tsv"), "x_")


def test_no_train_split(corpus, tmp_path):
    (corpus / "all.tsv").write_text(table().replace("\ttrain", "\ttraining"))
    with pytest.raises(
        UserError, match="no split is called train .'training' is not it.: the corpus has test, "
    ):
        import_corpus(str(corpus / "all.tsv"), tmp_path)


def test_a_split_or_language_that_only_some_rows_have(corpus, tmp_path):
    header, first, *rest = table(("path", "text", "split", "lang")).splitlines()
    first = first.replace("\ttrain\tfr", "\t\t")
    (corpus / "all.tsv").write_text("\n".join([header, first, *rest]) + "\n")
    with pytest.raises(
        UserError, match="2 problems.*:2: no lang, which other rows have; .*:2: no split, which"
    ):
        import_corpus(str(corpus / "all.tsv"), tmp_path)
    with pytest.raises(UserError, match="1 problem.*:2: no split"):
        import_corpus(str(corpus / "all.tsv"), tmp_path, lang="fr")


def test_languages(corpus, tmp_path):
    (corpus / "all.tsv").write_text(table())
    import_corpus(str(corpus / "all.tsv"), tmp_path)
    assert DataDir.load(tmp_path / "dev").utt2lang is None
    import_corpus(str(corpus / "all.tsv"), tmp_path, lang="fra")
    assert DataDir.load(tmp_path / "dev").utt2lang == {"bob-1": "fra"}
    import_corpus(str(corpus / "all.tsv"), tmp_path)  # what an earlier run left is removed
    assert DataDir.load(tmp_path / "dev").utt2lang is None


def test_times_become_segments(corpus, tmp_path):
    (corpus / "all.tsv").write_text(
        "path\ttext\tspeaker\tstart_s\tend_s\tsplit\n"
        "audio/cyd-1.wav\tun\tcyd\t0.1\t0.25\ttrain\n"
        "audio/cyd-1.wav\tdeux\tcyd\t0.25\t\ttrain\n"
        "audio/bob-1.wav\ttrois\tbob\t\t\ttrain\n"
        "audio/ann-1.wav\tx\tann\t\t\tdev\n"
    )
    done = import_corpus(str(corpus / "all.tsv"), tmp_path)
    assert (tmp_path / "train" / "segments").read_text() == (
        "bob-audio-bob-1 audio-bob-1 0.000 -1\n"
        "cyd-audio-cyd-1-00000100-00000250 audio-cyd-1 0.100 0.250\n"
        "cyd-audio-cyd-1-00000250-end audio-cyd-1 0.250 -1\n"
    )
    data = DataDir.load(tmp_path / "train")
    assert set(data.recordings) == {"audio-bob-1", "audio-cyd-1"}
    assert not (tmp_path / "dev" / "segments").exists()
    assert done.sets["train"].startswith("3 utterances, 2 speakers")


def test_without_speakers_each_utterance_is_one(corpus, tmp_path):
    (corpus / "all.tsv").write_text(table(("path", "text", "split")))
    done = import_corpus(str(corpus / "all.tsv"), tmp_path)
    assert DataDir.load(tmp_path / "dev").utt2spk == {"audio-bob-1": "audio-bob-1"}
    assert done.notes == [
        "warning: 5 utterances without a speaker: each counts as a speaker of its own, so a person may be heard in "
        "training and in the test set"
    ]


def test_ids_are_made_of_paths_that_ids_can_hold(corpus, tmp_path):
    write_audio(corpus / "audio" / "a b" / "x.wav", 0.2)
    rows = (
        "audio/a b/x.wav\tx\tJo Do\ttrain\n"
        + f"{corpus}/audio/ann-1.wav\tx\tann\ttrain\n"
        + "audio/bob-1.wav\tx\tb\tdev\n"
    )
    (corpus / "all.tsv").write_text("path\ttext\tspeaker\tsplit\n" + rows)
    import_corpus(str(corpus / "all.tsv"), tmp_path)
    assert DataDir.load(tmp_path / "train").utt2spk == {
        "Jo_Do-audio-a-b-x": "Jo_Do",
        "ann-audio-ann-1": "ann",
    }


def test_what_says_the_same_keeps_its_time(corpus, tmp_path):
    (corpus / "all.tsv").write_text(table())
    import_corpus(str(corpus / "all.tsv"), tmp_path)
    before = {p: p.stat().st_mtime_ns for p in tmp_path.rglob("*") if p.is_file()}
    import_corpus(str(corpus / "all.tsv"), tmp_path)
    assert {p: p.stat().st_mtime_ns for p in tmp_path.rglob("*") if p.is_file()} == before


def test_the_command(corpus, tmp_path, capsys):
    (corpus / "all.tsv").write_text(table(("path", "text", "lang")))
    args = [
        "import-corpus",
        "--corpus",
        str(corpus / "all.tsv"),
        "--out",
        str(tmp_path / "d"),
        "--prefix",
        "p_",
    ]
    assert main([*args, "--list_sets", "true"]) == 0
    assert capsys.readouterr().out == "train_set p_train\nvalid_set p_dev\ntest_sets p_test\n"
    assert not (tmp_path / "d").exists()
    assert main(args) == 0
    out, err = capsys.readouterr()
    assert out.splitlines()[1] == "p_dev: 1 utterance, 1 speaker, 0.00 h"
    assert err.startswith("warning: 5 utterances without a speaker")
