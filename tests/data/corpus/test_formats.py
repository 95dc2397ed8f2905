"""Every format gives the same Kaldi directories."""

import csv
import io
import json
from pathlib import Path

import pytest
import soundfile

from peft_asr.data.corpus import import_corpus
from peft_asr.data.kaldi import DataDir
from tests.data.corpus.small_corpus import SETS, UTTERANCES, table


def written(out: Path) -> dict[str, DataDir]:
    """Every set, checked as stage 1 checks it."""
    return {path.parent.name: DataDir.load(path.parent, need_text=True) for path in out.glob("*/wav.scp")}


def assert_whole(out: Path) -> None:
    sets = written(out)
    assert {name: data.text for name, data in sets.items()} == SETS
    speakers = {utt: speaker for data in sets.values() for utt, speaker in data.utt2spk.items()}
    assert speakers == {utt: speaker for utt, speaker, *_ in UTTERANCES}
    lengths = {utt: seconds for utt, _, _, seconds, _ in UTTERANCES}
    for data in sets.values():
        for utt, source in data.recordings.items():
            assert Path(source).is_absolute()
            assert soundfile.info(source).duration == pytest.approx(lengths[utt])


def write_csv(path: Path) -> None:
    text = io.StringIO()
    rows = [line.split("\t") for line in table().splitlines()]
    csv.writer(text).writerows(rows)
    path.write_text(text.getvalue(), encoding="utf-8", newline="")


def write_jsonl(path: Path) -> None:
    names, *rows = (line.split("\t") for line in table().splitlines())
    lines = [json.dumps(dict(zip(names, row, strict=True)), ensure_ascii=False) for row in rows]
    path.write_text("\n".join(lines) + "\n", encoding="utf-8")


def test_tsv(corpus, tmp_path):
    (corpus / "all.tsv").write_text(table(), encoding="utf-8")
    done = import_corpus(str(corpus / "all.tsv"), tmp_path / "data")
    assert_whole(tmp_path / "data")
    assert done.notes == []
    assert done.sets["train"] == "2 utterances, 1 speaker, 0.00 h"
    assert (tmp_path / "data" / "sets").read_text() == (
        "train_set train\nvalid_set dev\ntest_sets test test.noisy\n"
    )


def test_tsv_with_byte_order_mark_and_windows_line_ends(corpus, tmp_path):
    (corpus / "all.TSV").write_bytes(b"\xef\xbb\xbf" + table().replace("\n", "\r\n").encode())
    import_corpus(str(corpus / "all.TSV"), tmp_path / "data")
    assert_whole(tmp_path / "data")


def test_csv(corpus, tmp_path):
    write_csv(corpus / "all.csv")
    import_corpus(str(corpus / "all.csv"), tmp_path / "data")
    assert_whole(tmp_path / "data")


def test_jsonl(corpus, tmp_path):
    write_jsonl(corpus / "all.jsonl")
    import_corpus(str(corpus / "all.jsonl"), tmp_path / "data")
    assert_whole(tmp_path / "data")


@pytest.mark.parametrize("text", ["text", "transcription", "sentence"])
def test_a_folder_with_metadata(corpus, tmp_path, text):
    write_csv(corpus / "metadata.csv")
    content = (corpus / "metadata.csv").read_text()
    (corpus / "metadata.csv").write_text(content.replace("path,text", f"file_name,{text}", 1))
    import_corpus(str(corpus), tmp_path / "data")
    assert_whole(tmp_path / "data")


def test_metadata_in_a_folder_for_each_split(corpus, tmp_path):
    for utt, speaker, split, _, text in UTTERANCES:
        (corpus / split).mkdir(exist_ok=True)
        (corpus / "audio" / f"{utt}.wav").rename(corpus / split / f"{utt}.wav")
        with open(corpus / split / "metadata.csv", "a", encoding="utf-8") as file:
            if not file.tell():
                file.write("file_name,transcription,utt_id,speaker_id\n")
            file.write(f"{utt}.wav,{text},{utt},{speaker}\n")
    import_corpus(str(corpus), tmp_path / "data")
    assert_whole(tmp_path / "data")


def test_quotes_in_a_csv_and_none_in_a_tsv(corpus, tmp_path):
    (corpus / "q.csv").write_text(
        'path,text,split\naudio/ann-1.wav,"a ""b"", c",train\naudio/bob-1.wav,x,dev\n'
    )
    (corpus / "q.tsv").write_text('path\ttext\tsplit\naudio/ann-1.wav\t"a\ttrain\naudio/bob-1.wav\tx\tdev\n')
    for name, text in (("q.csv", 'a "b", c'), ("q.tsv", '"a')):
        import_corpus(str(corpus / name), tmp_path / name)
        assert list(DataDir.load(tmp_path / name / "train").text.values()) == [text]


def kaldi_dirs(corpus: Path) -> Path:
    """The corpus as Kaldi directories, paths relative to them."""
    for utt, speaker, split, _, text in UTTERANCES:
        folder = corpus / "kaldi" / split
        folder.mkdir(parents=True, exist_ok=True)
        rows = {"wav.scp": f"../../audio/{utt}.wav", "text": text, "utt2spk": speaker, "utt2lang": "fr"}
        for name, value in rows.items():
            with open(folder / name, "a", encoding="utf-8") as file:
                file.write(f"{utt} {value}\n")
    return corpus / "kaldi"


def test_kaldi_directories_as_splits(corpus, tmp_path):
    import_corpus(str(kaldi_dirs(corpus)), tmp_path / "data")
    assert_whole(tmp_path / "data")
    assert DataDir.load(tmp_path / "data" / "test").utt2lang == {"cyd-1": "fr"}


def test_a_kaldi_directory_with_segments(corpus, tmp_path):
    folder = corpus / "k"
    folder.mkdir()
    (folder / "wav.scp").write_text(f"rec {corpus}/audio/cyd-1.wav\n")
    (folder / "segments").write_text("a-1 rec 0 0.2\nb-1 rec 0.2 0.4\nc-1 rec 0.4 -1\n")
    (folder / "text").write_text("a-1 A\nb-1 B\nc-1 C\n")
    (folder / "utt2spk").write_text("a-1 a\nb-1 b\nc-1 c\n")
    import_corpus(str(folder), tmp_path / "data")
    sets = written(tmp_path / "data")
    assert {len(data.text) for data in sets.values()} == {1}
    segments = {u: s for data in sets.values() for u, s in data.segments.items()}
    assert {u: (s.recording, s.start_s, s.end_s) for u, s in segments.items()} == {
        "a-1": ("rec", 0.0, 0.2),
        "b-1": ("rec", 0.2, 0.4),
        "c-1": ("rec", 0.4, None),
    }


def test_a_kaldi_directory_that_is_not_valid(corpus, tmp_path):
    from peft_asr.errors import UserError

    folder = kaldi_dirs(corpus) / "train"
    (folder / "text").write_text("ann-1 UN\n")
    with pytest.raises(UserError, match=r"wav.scp:2: utterance 'ann-2' has no line in .*fix_data_dir.sh"):
        import_corpus(str(folder), tmp_path / "data")


def test_a_hugging_face_dataset_saved_on_disk(corpus, tmp_path):
    datasets = pytest.importorskip("datasets")
    splits = {}
    for utt, speaker, split, _, text in UTTERANCES:
        columns = splits.setdefault(
            split, {"audio": [], "sentence": [], "speaker_id": [], "utt_id": [], "age": []}
        )
        path = str(corpus / "audio" / f"{utt}.wav")
        for key, value in zip(columns, (path, text, speaker, utt, 3), strict=True):
            columns[key].append(value)
    saved = {
        split: datasets.Dataset.from_dict(columns).cast_column("audio", datasets.Audio())
        for split, columns in splits.items()
    }
    datasets.DatasetDict(saved).save_to_disk(str(corpus / "hf"))
    done = import_corpus(str(corpus / "hf"), tmp_path / "data")
    assert_whole(tmp_path / "data")
    assert f"{corpus}/hf[train]: 1 column not used: age" in done.notes
    copy = tmp_path / "data" / "train" / "audio" / "ann-1.wav"
    assert copy.read_bytes() == (corpus / "audio" / "ann-1.wav").read_bytes()


def test_a_hugging_face_dataset_by_name(corpus, tmp_path, monkeypatch):
    datasets = pytest.importorskip("datasets")
    asked = []

    def load_dataset(name, configuration):
        asked.append((name, configuration))
        rows = {"path": [], "text": [], "speaker": [], "utt_id": [], "split": []}
        for utt, speaker, split, _, text in UTTERANCES:
            for key, value in zip(rows, (f"audio/{utt}.wav", text, speaker, utt, split), strict=True):
                rows[key].append(value)
        return datasets.Dataset.from_dict(rows)

    monkeypatch.setattr(datasets, "load_dataset", load_dataset)
    import_corpus("hf:org/name:fr", tmp_path / "data", audio_dir=corpus)
    assert asked == [("org/name", "fr")]
    assert_whole(tmp_path / "data")


def lhotse_sets(corpus: Path, split: str):
    from lhotse import Recording, RecordingSet, SupervisionSegment, SupervisionSet

    recordings, supervisions = [], []
    for utt, speaker, own, seconds, text in UTTERANCES:
        if own == split:
            recordings.append(Recording.from_file(corpus / "audio" / f"{utt}.wav", recording_id=utt))
            supervisions.append(
                SupervisionSegment(utt, utt, 0.0, seconds, text=text, speaker=speaker, language="fr")
            )
    return RecordingSet.from_recordings(recordings), SupervisionSet.from_segments(supervisions)


@pytest.mark.parametrize("cuts", [False, True])
def test_lhotse_manifests(corpus, tmp_path, cuts):
    lhotse = pytest.importorskip("lhotse")
    folder = corpus / "manifests"
    folder.mkdir()
    for split in {split for _, _, split, _, _ in UTTERANCES}:
        recordings, supervisions = lhotse_sets(corpus, split)
        if cuts:
            both = lhotse.CutSet.from_manifests(recordings=recordings, supervisions=supervisions)
            both.to_file(folder / f"small_cuts_{split}.jsonl.gz")
        else:
            recordings.to_file(folder / f"small_recordings_{split}.jsonl.gz")
            supervisions.to_file(folder / f"small_supervisions_{split}.jsonl.gz")
    import_corpus(str(folder), tmp_path / "data")
    assert_whole(tmp_path / "data")
    assert not list((tmp_path / "data").glob("*/segments"))


def test_what_lhotse_would_change_on_the_fly_is_refused(corpus, tmp_path):
    lhotse = pytest.importorskip("lhotse")
    from peft_asr.errors import UserError

    recordings, supervisions = lhotse_sets(corpus, "train")
    fast = lhotse.RecordingSet.from_recordings(r.perturb_speed(0.9, affix_id=False) for r in recordings)
    fast.to_file(corpus / "recordings.jsonl.gz")
    supervisions.to_file(corpus / "supervisions.jsonl.gz")
    with pytest.raises(
        UserError, match=r"2 problems.*recording 'ann-1' is changed on the fly by lhotse \(Speed\)"
    ):
        import_corpus(str(corpus / "supervisions.jsonl.gz"), tmp_path / "data")


def test_stretches_of_a_cut_become_segments(corpus, tmp_path):
    lhotse = pytest.importorskip("lhotse")
    recording = lhotse.Recording.from_file(corpus / "audio" / "cyd-1.wav", recording_id="long")
    supervisions = [
        lhotse.SupervisionSegment(name, "long", 0.1 * i, 0.1, text=name, speaker=name)
        for i, name in enumerate("abc")
    ]
    cut = lhotse.MonoCut(
        "c", start=0.25, duration=0.4, channel=0, recording=recording, supervisions=supervisions
    )
    lhotse.CutSet.from_cuts([cut]).to_file(corpus / "cuts.jsonl.gz")
    import_corpus(str(corpus / "cuts.jsonl.gz"), tmp_path / "data")
    segments = {u: s for data in written(tmp_path / "data").values() for u, s in data.segments.items()}
    assert {u: (s.recording, s.start_s, s.end_s) for u, s in segments.items()} == {
        "a": ("long", 0.25, 0.35),
        "b": ("long", 0.35, 0.45),
        "c": ("long", 0.45, 0.55),
    }
