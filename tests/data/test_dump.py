"""Stage 2's audio: what it writes, how it goes on after a kill, what it says about bad files."""

import logging
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
import soundfile

from peft_asr.data import dump_job
from peft_asr.data.dump import dump_audio
from peft_asr.data.dump_job import flac_path
from peft_asr.data.journal import Entry, Journal
from peft_asr.data.tables import read_table, write_table
from peft_asr.errors import UserError
from tests.data.helpers import make_dir, noise, sine, snapshot

TEXTS = {f"s{n % 3}-u{n}": f"text {n}" for n in range(6)}


@pytest.fixture
def source(tmp_path):
    return make_dir(tmp_path / "data", TEXTS)


@pytest.fixture
def out(tmp_path):
    return tmp_path / "dump" / "set"


def test_what_is_written(source, out):
    write_table(source / "utt2lang", dict.fromkeys(TEXTS, "eng"))
    write_table(source / "text", TEXTS | {"s0-u0": "e\u0301te\u0301\u00a0 x"})
    done = dump_audio(source, out)
    assert (done.kept, done.bad, done.written) == (6, 0, 6)
    scp = read_table(out / "wav.scp")
    assert list(scp) == sorted(TEXTS) and all(os.path.isabs(path) for path in scp.values())
    assert read_table(out / "text")["s0-u0"] == "été x"
    assert read_table(out / "utt2spk") == read_table(source / "utt2spk")
    assert read_table(out / "spk2utt")["s1"] == "s1-u1 s1-u4"
    assert read_table(out / "utt2lang") == dict.fromkeys(sorted(TEXTS), "eng")
    assert read_table(out / "utt2num_samples") == dict.fromkeys(sorted(TEXTS), "3200")
    info = soundfile.info(scp["s0-u0"])
    assert (info.format, info.subtype, info.samplerate, info.channels) == ("FLAC", "PCM_16", 16000, 1)


def test_16_bit_samples_come_out_bit_for_bit(source, out):
    dump_audio(source, out)
    scp_in, scp_out = read_table(source / "wav.scp"), read_table(out / "wav.scp")
    for utt in TEXTS:
        assert np.array_equal(
            soundfile.read(scp_out[utt], dtype="int16")[0], soundfile.read(scp_in[utt], dtype="int16")[0]
        )


def test_loud_audio_is_clipped_not_wrapped(tmp_path, out):
    source = make_dir(tmp_path / "data", {"s-a": "x"})
    soundfile.write(source / "audio" / "s-a.wav", sine(0.2, amplitude=1.5), 16000, subtype="FLOAT")
    dump_audio(source, out)
    samples = soundfile.read(read_table(out / "wav.scp")["s-a"], dtype="float32")[0]
    assert np.abs(samples - np.clip(sine(0.2, amplitude=1.5), -1, 1)).max() < 1e-4


def test_resampled_sets_count_decoded_samples(tmp_path, out):
    source = make_dir(tmp_path / "data", {"s-a": "x", "s-b": "y"})
    soundfile.write(source / "audio" / "s-a.wav", sine(1.0, 48000), 48000)
    soundfile.write(source / "audio" / "s-b.mp3", sine(1.0, 44100), 44100)
    write_table(source / "wav.scp", {"s-a": f"{source}/audio/s-a.wav", "s-b": f"{source}/audio/s-b.mp3"})
    dump_audio(source, out)
    counts = read_table(out / "utt2num_samples")
    assert counts["s-a"] == "16000"
    assert int(counts["s-b"]) == soundfile.info(read_table(out / "wav.scp")["s-b"]).frames


def test_processes_do_not_change_the_result(source, tmp_path):
    dump_audio(source, tmp_path / "one")
    dump_audio(source, tmp_path / "two", nj=2)
    one, two = snapshot(tmp_path / "one"), snapshot(tmp_path / "two")
    assert one.pop("wav.scp") == two.pop("wav.scp").replace(b"/two/", b"/one/")
    assert one == two


def test_segments(source, out):
    recording = noise(3.0, seed=9)
    soundfile.write(source / "audio" / "rec.flac", recording, 16000)
    write_table(source / "wav.scp", {"rec": f"{source}/audio/rec.flac"})
    bounds = {utt: (0.25 * n, 0.25 * n + 0.5) for n, utt in enumerate(sorted(TEXTS))}
    write_table(source / "segments", {utt: f"rec {start} {end}" for utt, (start, end) in bounds.items()})
    dump_audio(source, out)
    for utt, (start, end) in bounds.items():
        samples = soundfile.read(read_table(out / "wav.scp")[utt], dtype="float32")[0]
        assert np.array_equal(samples, recording[int(start * 16000) : int(end * 16000)])


def test_a_complete_dump_is_left_alone(source, out, caplog):
    dump_audio(source, out)
    before = {p: p.stat().st_mtime_ns for p in out.rglob("*")}
    caplog.set_level(logging.INFO)
    done = dump_audio(source, out)
    assert (done.kept, done.written) == (6, 0)
    assert f"{out} is complete and newer than its inputs: nothing to do" in caplog.messages
    assert {p: p.stat().st_mtime_ns for p in out.rglob("*") if p.name != ".lock"} == {
        p: t for p, t in before.items() if p.name != ".lock"
    }


def test_only_what_has_changed_is_made_again(source, out):
    dump_audio(source, out)
    soundfile.write(source / "audio" / "s1-u1.wav", noise(0.3, seed=99), 16000)
    write_table(source / "text", TEXTS | {"s2-u2": "other text"})
    done = dump_audio(source, out)
    assert (done.kept, done.written) == (6, 1)
    assert read_table(out / "utt2num_samples")["s1-u1"] == "4800"
    assert read_table(out / "text")["s2-u2"] == "other text"
    samples = soundfile.read(read_table(out / "wav.scp")["s1-u1"], dtype="float32")[0]
    assert np.array_equal(samples, noise(0.3, seed=99))


def test_a_flac_that_is_gone_or_cut_is_made_again(source, out):
    dump_audio(source, out)
    whole = snapshot(out)
    flac_path(out, "s0-u0").unlink()
    cut = flac_path(out, "s1-u1")
    cut.write_bytes(cut.read_bytes()[:100])
    assert dump_audio(source, out).written == 2
    assert snapshot(out) == whole


def test_sigkill_then_resume_gives_the_same_bytes(source, tmp_path):
    """The command of the fourth utterance waits for a file; the dump is killed there, with three done."""
    scp = read_table(source / "wav.scp")
    gate, waits = tmp_path / "gate", sorted(TEXTS)[3]
    command = f"while [ ! -e {gate} ]; do sleep 0.02; done; cat {scp[waits]} |"
    write_table(source / "wav.scp", scp | {waits: command})
    killed, undisturbed = tmp_path / "killed", tmp_path / "undisturbed"
    arguments = ["dump-audio", "--data", str(source), "--out", str(killed), "--allow_pipes", "true"]
    process = subprocess.Popen(
        [sys.executable, "-m", "peft_asr.bin.main", *arguments],
        cwd=Path(__file__).parents[2],
        start_new_session=True,
    )
    while process.poll() is None and len(Journal(killed / "dump.jsonl").entries) < 3:
        time.sleep(0.02)
    os.killpg(process.pid, signal.SIGKILL)
    process.wait()
    assert not (killed / "wav.scp").exists()
    (killed / "flac" / "00").mkdir(exist_ok=True)
    leftover = killed / "flac" / "00" / ".s0-u0.tmp-abc.flac"
    leftover.write_bytes(b"half")
    with open(killed / "dump.jsonl", "a") as handle:
        handle.write('{"utt": "s2-u5", "key": "cu')  # a line that the kill cut short
    finished = {utt: flac_path(killed, utt).stat().st_mtime_ns for utt in sorted(TEXTS)[:3]}

    gate.touch()
    assert dump_audio(source, killed, allow_pipes=True).written == 3
    assert finished == {utt: flac_path(killed, utt).stat().st_mtime_ns for utt in finished}
    dump_audio(source, undisturbed, allow_pipes=True)
    resumed, wanted = snapshot(killed), snapshot(undisturbed)
    assert resumed.pop("wav.scp").replace(b"/killed/", b"/undisturbed/") == wanted.pop("wav.scp")
    assert resumed == wanted


def test_a_killed_worker_is_an_error_and_no_hang(source, out):
    scp = read_table(source / "wav.scp")
    write_table(source / "wav.scp", scp | {"s0-u3": "kill -9 $PPID |"})
    with pytest.raises(UserError, match="a worker was killed .* run again with a smaller --nj"):
        dump_audio(source, out, nj=2, allow_pipes=True)
    assert not (out / "wav.scp").exists()


@pytest.fixture
def with_bad(tmp_path):
    """Eight utterances of which six are bad, each in its own way."""
    source = make_dir(tmp_path / "data", {f"s-{name}": name for name in "abcdefgh"}, seconds=0.5)
    audio = source / "audio"
    (audio / "s-b.wav").unlink()
    (audio / "s-c.wav").write_bytes(b"")
    (audio / "s-d.wav").write_bytes((audio / "s-d.wav").read_bytes()[:4000])
    (audio / "s-e.wav").write_text("no audio at all, only words\n")
    soundfile.write(audio / "s-f.wav", np.zeros(8000, np.float32), 16000)
    soundfile.write(audio / "s-g.wav", noise(0.03), 16000)
    return source


def test_bad_files_are_all_named_and_then_the_dump_fails(with_bad, out):
    with pytest.raises(UserError) as caught:
        dump_audio(with_bad, out)
    message = str(caught.value)
    assert message.startswith(f"6 of 8 utterances of {with_bad} are bad, listed in {out}/bad_utts.txt: s-b: ")
    assert message.endswith(" and 3 more; repair them, or leave them out with --skip_bad true")
    assert "\n" not in message
    reasons = read_table(out / "bad_utts.txt")
    audio = with_bad / "audio"
    assert reasons == {
        "s-b": f"{audio}/s-b.wav: there is no such file",
        "s-c": f"{audio}/s-c.wav: the file is empty (0 bytes)",
        "s-d": f"{audio}/s-d.wav: the file is cut short: its header promises 16044 bytes, the file has 4000",
        "s-e": f"{audio}/s-e.wav: not audio that libsndfile reads (wav, flac, ogg, opus, mp3, aiff, ...)",
        "s-f": f"{audio}/s-f.wav: silent: every sample is zero",
        "s-g": f"{audio}/s-g.wav: too short: 0.030 s, at least 0.05 s is wanted (--min_s)",
    }
    assert not (out / "wav.scp").exists()


def test_skip_bad_leaves_them_out_of_every_table(with_bad, out, caplog):
    done = dump_audio(with_bad, out, skip_bad=True)
    assert (done.kept, done.bad) == (2, 6)
    for name in ("wav.scp", "text", "utt2spk", "utt2num_samples"):
        assert list(read_table(out / name)) == ["s-a", "s-h"]
    assert read_table(out / "spk2utt") == {"s": "s-a s-h"}
    assert any("6 of 8 utterances" in text and text.endswith("left out") for text in caplog.messages)
    times = {p: p.stat().st_mtime_ns for p in out.iterdir() if p.name != ".lock"}
    assert dump_audio(with_bad, out, skip_bad=True).written == 0
    assert times == {p: p.stat().st_mtime_ns for p in times if p.exists()}


def test_repaired_files_are_taken_up(with_bad, out):
    dump_audio(with_bad, out, skip_bad=True)
    for name in "bcdefg":
        soundfile.write(with_bad / "audio" / f"s-{name}.wav", noise(0.5), 16000)
    done = dump_audio(with_bad, out)
    assert (done.kept, done.bad, done.written) == (8, 0, 6)
    assert not (out / "bad_utts.txt").exists()


def test_a_larger_min_s_applies_to_a_complete_dump(source, out):
    dump_audio(source, out)
    with pytest.raises(UserError, match=r"6 of 6 .* too short: 0.200 s, at least 0.3 s"):
        dump_audio(source, out, min_s=0.3)
    with pytest.raises(UserError, match="none is left"):
        dump_audio(source, out, min_s=0.3, skip_bad=True)


def test_50_milliseconds_and_60_seconds_are_fine(source, out):
    soundfile.write(source / "audio" / "s0-u0.wav", noise(0.05), 16000)
    soundfile.write(source / "audio" / "s0-u3.wav", noise(60.0), 16000)
    dump_audio(source, out)
    counts = read_table(out / "utt2num_samples")
    assert (counts["s0-u0"], counts["s0-u3"]) == ("800", "960000")


def test_audio_shorter_than_utt2dur_says(source, out):
    """For an mp3 that was cut between two frames, this is the only way to know."""
    write_table(source / "utt2dur", dict.fromkeys(TEXTS, "0.2") | {"s1-u4": "0.9"})
    with pytest.raises(UserError, match=r"s1-u4: .*the audio is cut short: 0.20 s, and utt2dur says 0.90 s"):
        dump_audio(source, out)


def test_full_disk(source, out, monkeypatch):
    def full(descriptor):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("peft_asr.files.os.fsync", full)
    with pytest.raises(
        UserError, match=r"cannot write .*s0-u0.flac: No space left on device; nothing was changed"
    ):
        dump_audio(source, out)
    assert list(out.rglob("*.flac")) == [] and not (out / "wav.scp").exists()
    monkeypatch.undo()
    assert dump_audio(source, out).written == 6


def test_two_dumps_at_once(source, out, monkeypatch):
    def second(job):
        with pytest.raises(UserError, match="another process is writing"):
            dump_audio(source, out)
        raise UserError("seen")

    monkeypatch.setattr("peft_asr.data.dump._LOCK_WAIT_S", 0.1)
    monkeypatch.setattr("peft_asr.data.dump.run_job", second)
    with pytest.raises(UserError, match="^seen$"):
        dump_audio(source, out)


def test_wrong_arguments(source, out):
    with pytest.raises(UserError, match="--nj is a number of processes, at least 1; got 0"):
        dump_audio(source, out, nj=0)
    with pytest.raises(UserError, match="is the directory that is read"):
        dump_audio(source, source)


def test_ids_that_are_no_file_names(tmp_path, out):
    texts = {"s-../../up": "a", "s-ünï": "b", "s-" + "ü" * 90: "c", "s-a|b": "d"}
    source = make_dir(tmp_path / "data", {"s-x": "x"})
    for name in ("text", "utt2spk"):
        write_table(source / name, dict.fromkeys(texts, "s"))
    write_table(source / "spk2utt", {"s": " ".join(sorted(texts))})
    write_table(source / "wav.scp", dict.fromkeys(texts, f"{source}/audio/s-x.wav"))
    dump_audio(source, out)
    paths = [Path(path) for path in read_table(out / "wav.scp").values()]
    assert len(set(paths)) == 4
    assert all(path.is_file() and path.parents[2] == out and len(path.name) < 255 for path in paths)


def test_journal_ignores_a_cut_line_and_keeps_the_later_of_two(tmp_path):
    journal = Journal(tmp_path / "j")
    journal.add(Entry("a", "k1", samples=1))
    journal.add(Entry("b", "k1", bad="ü"))
    journal.close()
    with open(tmp_path / "j", "a") as handle:
        handle.write('{"utt": "a", "key": "k9", "sam')
    again = Journal(tmp_path / "j")
    again.add(Entry("a", "k2", samples=2))
    again.compact(["a", "b"])
    assert Journal(tmp_path / "j").entries == {
        "a": Entry("a", "k2", samples=2),
        "b": Entry("b", "k1", bad="ü"),
    }
    assert (tmp_path / "j").read_text().count("\n") == 2


def test_encoding_is_deterministic():
    assert dump_job._encode(noise(1.0)) == dump_job._encode(noise(1.0))
