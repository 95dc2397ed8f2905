"""Downloads of the LibriSpeech recipes against a local server: resume, checksum, damage, what is there already."""

import functools
import gzip
import hashlib
import http.server
import io
import tarfile
import threading
from pathlib import Path

import pytest

from tests.recipes.siblings import link_siblings

PART = "dev-clean"


class RangeHandler(http.server.SimpleHTTPRequestHandler):
    """Serves files, from an offset where one is asked for, and keeps a list of (path, offset)."""

    asked: list[tuple[str, int]]

    def do_GET(self) -> None:
        path = Path(self.translate_path(self.path))
        if not path.is_file():
            self.send_error(404)
            return
        start = int((self.headers.get("Range") or "bytes=0-").removeprefix("bytes=").split("-")[0])
        self.asked.append((path.name, start))
        content = path.read_bytes()
        self.send_response(206 if start else 200)
        self.send_header("Content-Length", str(len(content) - start))
        if start:
            self.send_header("Content-Range", f"bytes {start}-{len(content) - 1}/{len(content)}")
        self.end_headers()
        self.wfile.write(content[start:])

    def log_message(self, *args) -> None:
        """Quiet."""


@pytest.fixture
def server(tmp_path):
    folder = tmp_path / "www"
    folder.mkdir()
    asked: list[tuple[str, int]] = []
    handler = functools.partial(type("Handler", (RangeHandler,), {"asked": asked}), directory=str(folder))
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler) as httpd:
        threading.Thread(target=httpd.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{httpd.server_address[1]}", folder, asked
        httpd.shutdown()


@pytest.fixture
def world(make_recipe, server, tmp_path):
    """A recipe, its database folder, and the archive of a part with two utterances on the server."""
    recipe = make_recipe("librispeech_100")
    url, folder, asked = server
    archive = folder / f"{PART}.tar.gz"
    with tarfile.open(archive, "w:gz") as tar:
        for name in ("1-2-0000.flac", "1-2-0001.flac", "1-2.trans.txt"):
            content = name.encode() * 300
            info = tarfile.TarInfo(f"LibriSpeech/{PART}/1/2/{name}")
            info.size = len(content)
            tar.addfile(info, io.BytesIO(content))
    parts = tmp_path / "parts.tsv"
    md5 = hashlib.md5(archive.read_bytes()).hexdigest()
    parts.write_text(
        f"part\tset\tutterances\tbytes\tmd5\n{PART}\tdev_clean\t2\t{archive.stat().st_size}\t{md5}\n"
    )
    db = tmp_path / "db"

    def download():
        return recipe("--db", db, "--parts", parts, "--url", url, script="local/download.sh")

    return download, db, archive, asked


def found(db: Path) -> list[str]:
    return sorted(p.name for p in db.rglob("*.flac"))


def test_fetch_check_unpack(world):
    download, db, _, asked = world
    result = download()
    assert result.returncode == 0, result.stderr
    assert found(db) == ["1-2-0000.flac", "1-2-0001.flac"]
    assert asked == [(f"{PART}.tar.gz", 0)]
    assert download().returncode == 0
    assert len(asked) == 1  # what is whole is not fetched again


def test_what_has_come_is_kept(world):
    download, db, archive, asked = world
    db.mkdir()
    (db / f"{PART}.tar.gz.part").write_bytes(archive.read_bytes()[:50])
    result = download()
    assert result.returncode == 0, result.stderr
    assert asked == [(f"{PART}.tar.gz", 50)]
    assert len(found(db)) == 2


def test_unpacking_that_was_cut_short_is_done_again(world):
    download, db, _, asked = world
    assert download().returncode == 0
    (db / "LibriSpeech" / PART / "1" / "2" / "1-2-0001.flac").unlink()
    assert download().returncode == 0
    assert len(found(db)) == 2 and len(asked) == 1


def test_damaged_archive_is_put_aside(world):
    download, db, archive, asked = world
    content = bytearray(archive.read_bytes())
    content[40] ^= 1
    good = archive.read_bytes()
    archive.write_bytes(content)
    result = download()
    assert result.returncode == 1
    (error,) = [line for line in result.stderr.splitlines() if "error:" in line]
    assert "is damaged (md5 " in error and "run the same command again" in error
    assert found(db) == [] and (db / f"{PART}.tar.gz.bad").exists()
    archive.write_bytes(good)
    assert download().returncode == 0
    assert len(found(db)) == 2 and len(asked) == 2


def test_short_answer_is_not_taken_for_the_whole(world):
    download, db, archive, _ = world
    good = archive.read_bytes()
    archive.write_bytes(good[:60])
    result = download()
    assert result.returncode == 1
    assert f"has 60 of {len(good)} bytes; run the same command again to go on" in result.stderr
    archive.write_bytes(good)
    assert download().returncode == 0


def test_address_that_does_not_answer(world):
    download, db, archive, _ = world
    archive.unlink()
    result = download()
    assert result.returncode == 1
    assert "could not fetch http://127.0.0.1" in result.stderr.splitlines()[-1]


def test_without_room(world, tmp_path):
    download, db, archive, asked = world
    table = tmp_path / "parts.tsv"
    table.write_text(table.read_text().replace(f"\t{archive.stat().st_size}\t", f"\t{10**15}\t"))
    result = download()
    assert result.returncode == 1
    assert "MB free" in result.stderr and "give another folder with --db" in result.stderr
    assert asked == []


def fetch(recipe, *args: object):
    """utils/fetch.sh's fetch_file from within the recipe."""
    words = " ".join(f"'{arg}'" for arg in args)
    script = f'. ./path.sh; . "${{root}}/utils/log.sh"; . "${{root}}/utils/fetch.sh"; fetch_file {words}'
    return recipe("-c", script, script="bash")


def test_only_the_parts_that_are_asked_for(make_recipe, server, tmp_path):
    recipe = link_siblings(make_recipe("librilight_1h_10h"), "librispeech_100")
    url, _, asked = server
    result = recipe("--db", tmp_path, "--url", url, "--only", "dev-other", script="local/download.sh")
    assert (
        result.returncode == 1 and f"could not fetch {url}/dev-other.tar.gz" in result.stderr.splitlines()[-1]
    )
    assert asked == []


def test_a_file_whose_size_nobody_published(make_recipe, server, tmp_path):
    recipe = make_recipe("librispeech_100")
    url, folder, asked = server
    content = b"words" * 1000
    (folder / "a.tgz").write_bytes(content)
    sum_ = f"sha256:{hashlib.sha256(content).hexdigest()}"
    file = tmp_path / "a.tgz"
    # All of it has come, but the script was killed before it could rename it: nothing is asked for again.
    (tmp_path / "a.tgz.part").write_bytes(content)
    assert fetch(recipe, f"{url}/a.tgz", file, "-", sum_).returncode == 0
    assert file.read_bytes() == content and asked == []
    file.unlink()
    (tmp_path / "a.tgz.part").write_bytes(content[:7])
    assert fetch(recipe, f"{url}/a.tgz", file, "-", sum_).returncode == 0
    assert file.read_bytes() == content and asked == [("a.tgz", 7)]
    result = fetch(recipe, f"{url}/a.tgz", file, "-", f"sha256:{'0' * 64}")
    assert result.returncode == 1 and "is damaged (sha256 " in result.stderr
    assert (tmp_path / "a.tgz.bad").exists() and not file.exists()


def test_the_language_model_checks_itself(make_recipe, server, tmp_path):
    recipe = make_recipe("librispeech_100")
    url, folder, _ = server
    (folder / "4-gram.arpa.gz").write_bytes(gzip.compress(b"arpa")[:-3])
    (folder / "librispeech_lexicon.lst").write_text("A\tA |\n")
    args = ["--db", tmp_path / "db", "--slr", url, "--words", url]
    result = recipe(*args, script="local/download_lm.sh")
    assert result.returncode == 1 and "4-gram.arpa.gz is damaged, renamed to" in result.stderr
    (folder / "4-gram.arpa.gz").write_bytes(gzip.compress(b"arpa"))
    result = recipe(*args, script="local/download_lm.sh")
    assert result.returncode == 0, result.stderr
    assert (tmp_path / "db" / "librispeech_lexicon.lst").read_text() == "A\tA |\n"
    assert result.stdout.count("sha256") == 2


def test_the_subsets_of_libri_light(make_recipe, server, tmp_path):
    recipe = link_siblings(make_recipe("librilight_1h_10h"), "librispeech_100")
    url, folder, asked = server
    with tarfile.open(folder / "limited.tgz", "w:gz") as tar:
        info = tarfile.TarInfo("librispeech_finetuning/1h/0/clean/1/2/1-2.trans.txt")
        info.size = 4
        tar.addfile(info, io.BytesIO(b"text"))
    table = recipe.folder / "local" / "parts.tsv"
    table.write_text("part\tset\tutterances\tbytes\tmd5\ndev-clean\tdev_clean\t0\t0\t-\n")  # which is there
    sum_ = hashlib.sha256((folder / "limited.tgz").read_bytes()).hexdigest()
    args = ["--db", tmp_path, "--download", "true", "--limited_url", f"{url}/limited.tgz"]
    for _ in range(2):
        result = recipe(*args, "--limited_sum", f"sha256:{sum_}", script="local/data.sh")
        assert (tmp_path / "librispeech_finetuning" / "1h" / "0" / "clean").is_dir(), result.stderr
        assert asked == [("limited.tgz", 0)]
