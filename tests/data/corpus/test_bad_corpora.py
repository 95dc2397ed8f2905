"""What is wrong with a corpus is said with its line, all of it, and nothing is written."""

import sys

import pytest

from peft_asr.data.corpus import import_corpus
from peft_asr.errors import UserError
from tests.data.corpus.small_corpus import table, write_audio

GOOD = "audio/ann-1.wav\tun"


def refused(path, out, **options) -> str:
    with pytest.raises(UserError) as caught:
        import_corpus(str(path), out, **options)
    assert "\n" not in str(caught.value)
    assert sorted(p.name for p in out.glob("*")) in ([], ["problems.txt"])
    return str(caught.value)


def test_every_bad_row_is_listed_with_its_line(corpus, tmp_path):
    write_audio(corpus / "audio" / "none.wav", 0.0)
    (corpus / "audio" / "noise.wav").write_bytes(b"this is no audio at all")
    (corpus / "audio" / "cut.wav").write_bytes((corpus / "audio" / "ann-1.wav").read_bytes()[:3000])
    rows = [
        "path\ttext\tutt_id\tstart_s\tend_s",  # line 1
        "audio/ann-1.wav\tun\ta\t\t",
        "audio/ann-2.wav\tdeux\ta\t\t",  # 3: id
        "audio/ann-2.wav\t \tb\t\t",  # 4: text
        "audio/away.wav\tx\tc\t\t",
        "audio/noise.wav\tx\td\t\t",
        "audio/none.wav\tx\te\t\t",
        "audio/cut.wav\tx\tf\t\t",
        "audio/ann-1.wav\tx\tg\t0.2\t0.1",
        "audio/ann-1.wav\tx\th\tzero\t0.1",
        "audio/ann-1.wav\tx\ti\t0.6\t",
        "audio/ann-1.wav\tx\tj\t0\t1.2",
        "audio/ann-1.wav\tx",
        "\tx\tk\t\t",
        "audio/ann-1.wav\tx\tl m\t\t",
    ]
    file = corpus / "bad.tsv"
    file.write_text("\n".join(rows) + "\n")
    said = refused(file, tmp_path / "data")
    listed = (tmp_path / "data" / "problems.txt").read_text().splitlines()
    where, audio = f"{file}:", f"{corpus}/audio"
    assert listed == [
        f"{where}3: duplicate id 'a', first in {where}2",
        f"{where}4: empty text",
        f"{where}5: {audio}/away.wav: there is no such file",
        f"{where}6: {audio}/noise.wav: not audio that libsndfile reads (wav, flac, ogg, opus, mp3, ...), or damaged",
        f"{where}7: {audio}/none.wav: the file holds no audio (0 frames)",
        f"{where}8: {audio}/cut.wav: the file is cut short: its header promises 8044 bytes, the file has 3000",
        f"{where}9: the segment starts at 0.2 s and ends at 0.1 s",
        f"{where}10: start_s is 'zero', not seconds as in 12.5",
        f"{where}11: the segment starts at 0.6 s, the recording has 0.5 s",
        f"{where}12: the segment ends at 1.2 s, the recording has 0.5 s",
        f"{where}13: 2 columns, the first line has 5",
        f"{where}14: no path",
        f"{where}15: a blank in the id 'l m' or the language ''",
    ]
    assert said.startswith(
        f"{file}: 13 problems, all listed in {tmp_path}/data/problems.txt, nothing else was written"
    )
    assert (
        all(problem in said for problem in listed[:3]) and listed[3] not in said and "; and 10 more; " in said
    )
    # Once it is right, the list goes.
    file.write_text(table(("path", "text", "speaker")))
    import_corpus(str(file), tmp_path / "data")
    assert not (tmp_path / "data" / "problems.txt").exists()


def test_bad_audio_may_be_left_out_but_not_bad_text(corpus, tmp_path):
    file = corpus / "all.tsv"
    file.write_text(table() + "audio/away.wav\tx\tzed\tann\ttrain\n")
    done = import_corpus(str(file), tmp_path / "data", skip_bad=True)
    bad = f"{file}:7: {corpus}/audio/away.wav: there is no such file"
    assert done.notes == [f"1 utterance left out for audio, listed in {tmp_path}/data/left_out.txt: {bad}"]
    assert (tmp_path / "data" / "left_out.txt").read_text() == f"{bad}\n"
    assert "zed" not in (tmp_path / "data" / "train" / "text").read_text()
    file.write_text(table() + "audio/ann-1.wav\t\tzed\tann\ttrain\n")
    assert "empty text" in refused(file, tmp_path / "other", skip_bad=True)


@pytest.mark.parametrize(
    ("header", "message"),
    [
        (
            "path\ttxt",
            "has no column 'text' (also: transcription, sentence); the nearest is 'txt'; its first line",
        ),
        (
            "filename\ttext",
            "has no column 'path' (also: file_name); the nearest is 'filename'; its first line names",
        ),
        (
            "audio/ann-1.wav\tun",
            "has no column 'path' (also: file_name); its first line names the columns: audio/",
        ),
        ("path\ttext\tText", "the column 'text' stands there twice"),
        ("path,text", "the columns are separated by commas; a .tsv file has tabs"),
    ],
)
def test_columns(corpus, tmp_path, header, message):
    (corpus / "x.tsv").write_text(f"{header}\n{GOOD}\n")
    assert message in refused(corpus / "x.tsv", tmp_path / "data")


def test_encodings(corpus, tmp_path):
    file = corpus / "x.tsv"
    file.write_bytes(f"path\ttext\n{GOOD}\naudio/ann-2.wav\tété\n".encode("latin-1"))
    assert refused(file, tmp_path / "data") == (
        f"{file}:3: byte 0xe9 is not UTF-8; if the file is Latin-1, iconv -f LATIN1 -t UTF-8 converts it"
    )
    file.write_bytes(f"path\ttext\n{GOOD}\n".encode("utf-16"))
    assert "is UTF-16, not UTF-8; iconv -f UTF-16" in refused(file, tmp_path / "data")


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("x.csv", 'path,text\naudio/ann-1.wav,"a "b" c"\n', "x.csv:2: not CSV"),
        ("x.jsonl", '{"path": "a.wav", "text": "x"\n', "x.jsonl:1: not JSON"),
        ("x.jsonl", '["a.wav", "x"]\n', "x.jsonl:1: not an object"),
        ("x.jsonl", '{"path": "audio/ann-1.wav", "text": 7}\n', "x.jsonl:1: the text is 7, not a string"),
        ("x.tsv", "path\ttext\n", "x.tsv has no utterances"),
        ("x.txt", "x", "the format of"),
        ("x_supervisions.jsonl.gz", "", "comes without"),
    ],
)
def test_files(corpus, tmp_path, name, content, message):
    if "supervisions" in name:
        pytest.importorskip("lhotse")
    (corpus / name).write_text(content)
    assert message in refused(corpus / name, tmp_path / "data")


def test_what_is_not_there(tmp_path):
    out = tmp_path / "data"
    assert "there is no org/name; a data set of Hugging Face is written hf:org/name" in refused(
        "org/name", out
    )
    (tmp_path / "empty").mkdir()
    assert "is no corpus that is known here; allowed: a .tsv" in refused(tmp_path / "empty", out)


@pytest.mark.parametrize(("package", "extra"), [("datasets", "hf"), ("lhotse", "lhotse")])
def test_a_format_whose_package_is_missing(tmp_path, monkeypatch, package, extra):
    monkeypatch.setitem(sys.modules, package, None)
    (tmp_path / "cuts.jsonl.gz").write_bytes(b"")
    corpus = "hf:org/name" if extra == "hf" else tmp_path / "cuts.jsonl.gz"
    assert f"needs the package {package}: pip install 'peft_asr[{extra}]'" in refused(
        corpus, tmp_path / "data"
    )


def test_commands_as_audio_want_to_be_allowed(corpus, tmp_path):
    folder = corpus / "k"
    folder.mkdir()
    (folder / "wav.scp").write_text("".join(f"{u} cat {corpus}/audio/ann-1.wav |\n" for u in "abc"))
    (folder / "text").write_text("a A\nb B\nc C\n")
    assert "is a command; commands run only with --allow_pipes true" in refused(folder, tmp_path / "data")
    done = import_corpus(str(folder), tmp_path / "data", allow_pipes=True)
    assert done.sets["train"] == "1 utterance, 1 speaker, 0.00 h and 1 of unknown length"
