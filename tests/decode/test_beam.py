"""Beam search against all paths of a few frames, scored one by one."""

import itertools
import math
from dataclasses import replace

import numpy as np
import pytest

from peft_asr.config import DecodeConfig
from peft_asr.decode.beam import BeamSearch
from peft_asr.errors import UserError
from peft_asr.text.tokenizer import Tokenizer
from tests.lm.models import ARPA, write_models

pytest.importorskip("flashlight.lib.text")
kenlm = pytest.importorskip("kenlm")

CHARS = Tokenizer("char", ["<blank>", "<unk>", "<space>", "a", "b"])
PHONES = Tokenizer("phone", ["<blank>", "<unk>", "a", "b"])
EVERYTHING = DecodeConfig(search="beam", beam=20000, beam_threshold=1e9, nbest=20000)


def emissions(frames: int, tokens: int, seed: int = 0) -> np.ndarray:
    """(T, V) log-probabilities; <unk> is next to impossible."""
    logits = np.random.default_rng(seed).normal(0.0, 2.0, (frames, tokens))
    logits[:, 1] = -30.0
    return (logits - np.logaddexp.reduce(logits, axis=1, keepdims=True)).astype(np.float32)


def collapsed(path: tuple[int, ...]) -> tuple[int, ...]:
    """CTC's reading of a path."""
    return tuple(token for token, _ in itertools.groupby(path) if token != 0)


def all_paths(log_probs: np.ndarray) -> dict[tuple[int, ...], list[float]]:
    """Labels -> the log-probabilities of all their paths."""
    paths: dict[tuple[int, ...], list[float]] = {}
    for path in itertools.product(range(log_probs.shape[1]), repeat=len(log_probs)):
        score = sum(float(log_probs[frame, token]) for frame, token in enumerate(path))
        paths.setdefault(collapsed(path), []).append(score)
    return paths


@pytest.fixture
def models(tmp_path):
    """The bigram of <space>, a, b."""
    return write_models(tmp_path / "models")


@pytest.mark.parametrize("log_add", [False, True])
def test_without_lm_the_score_is_ctcs(log_add):
    log_probs = emissions(5, 4)
    expected = {
        labels: np.logaddexp.reduce(scores) if log_add else max(scores)
        for labels, scores in all_paths(log_probs).items()
        if 1 not in labels
    }
    found = BeamSearch(PHONES, replace(EVERYTHING, log_add=log_add))(log_probs)
    scores = {tuple(one.ids): one.score for one in found if 1 not in one.ids}
    assert scores == pytest.approx(expected, abs=1e-4)
    assert [one.score for one in found] == sorted(scores := [one.score for one in found], reverse=True)
    assert tuple(found[0].ids) == max(expected, key=expected.get)
    if not log_add:
        assert all(one.am_score == pytest.approx(one.score, abs=1e-4) for one in found)


def best_paths(log_probs: np.ndarray, extra: float = 0.0) -> dict[tuple[int, ...], float]:
    """Labels -> score of their best path; ``extra`` for each frame of <space>.

    Frames of <space> (2) before anything else are silence, not a label.
    """
    best: dict[tuple[int, ...], float] = {}
    for path in itertools.product((0, 2, 3, 4), repeat=len(log_probs)):
        score = sum(float(log_probs[frame, token]) + extra * (token == 2) for frame, token in enumerate(path))
        labels = collapsed(tuple(itertools.dropwhile(lambda token: token == 2, path)))
        best[labels] = max(score, best.get(labels, -math.inf))
    return best


@pytest.mark.parametrize("kind", ["arpa", "gz", "binary", "wordless"])
def test_the_lm_scores_the_tokens_and_the_end(models, kind):
    log_probs = emissions(4, 5, seed=3)
    lm = kenlm.Model(str(models["arpa"]))
    paths = best_paths(log_probs)
    log10 = {labels: lm.score(" ".join(CHARS.tokens[i] for i in labels)) for labels in paths}
    best = {labels: score + 0.7 * log10[labels] for labels, score in paths.items()}
    search = BeamSearch(CHARS, replace(EVERYTHING, lm=str(models[kind]), lm_weight=0.7))
    found = {tuple(one.ids): one for one in search(log_probs) if 1 not in one.ids}
    assert {labels: one.score for labels, one in found.items()} == pytest.approx(best, abs=1e-3)
    assert {labels: one.lm_score for labels, one in found.items()} == pytest.approx(log10, abs=1e-3)
    assert next(iter(found)) == max(best, key=best.get)


def test_sil_score_is_for_each_frame_of_space():
    log_probs = emissions(4, 5, seed=1)
    search = BeamSearch(CHARS, replace(EVERYTHING, sil_score=-1.5))
    found = {tuple(one.ids): one.score for one in search(log_probs) if 1 not in one.ids}
    assert found == pytest.approx(best_paths(log_probs, extra=-1.5), abs=1e-4)


@pytest.fixture
def word_lm(tmp_path):
    """A bigram of the words ab, a, b."""
    path = tmp_path / "words.arpa"
    path.write_text(ARPA.replace("<space>", "ab"))
    return str(path)


def best_of_words(log_probs, read, lm, weight, word_score) -> dict[tuple[str, ...], float]:
    """Word sequences -> their best score over all paths; ``read`` makes words of labels, or None."""
    best: dict[tuple[str, ...], float] = {}
    for labels, scores in all_paths(log_probs).items():
        words = None if 1 in labels else read(labels)
        if words is not None:
            score = max(scores) + weight * lm.score(" ".join(words)) + word_score * len(words)
            best[words] = max(score, best.get(words, -math.inf))
    return best


def test_words_of_letters(tmp_path, word_lm):
    (tmp_path / "lex").write_text("ab a b |\na a |\nb b |\n")
    options = replace(EVERYTHING, lm=word_lm, lexicon=str(tmp_path / "lex"), lm_weight=2.0, word_score=-1.0)

    def read(labels):
        words = tuple("".join("_ab"[i - 2] for i in labels).replace("_", " ").split())
        return words if set(words) <= {"a", "b", "ab"} else None

    lm = kenlm.Model(word_lm)
    search = BeamSearch(CHARS, options)
    for seed in range(5):
        log_probs = emissions(6, 5, seed)
        expected = best_of_words(log_probs, read, lm, 2.0, -1.0)
        found = {tuple(one.words): one.score for one in search(log_probs)}
        assert max(found, key=found.get) == max(expected, key=expected.get)
        assert {words: score for words, score in found.items() if words} == pytest.approx(
            {words: score for words, score in expected.items() if words}, abs=1e-3
        )


def test_words_of_phones_may_hold_their_last_phone(tmp_path, word_lm):
    """No <space> stands between the words; the last phone of a word lasts as many frames as it likes."""
    (tmp_path / "lex").write_text("ab a b\na a\nb b\n")
    options = replace(EVERYTHING, lm=word_lm, lexicon=str(tmp_path / "lex"), lm_weight=1.0)
    search = BeamSearch(PHONES, options)
    log_probs = np.full((6, 4), -20.0, dtype=np.float32)
    for frame, token in enumerate([2, 2, 3, 3, 3, 0]):
        log_probs[frame, token] = 0.0
    lm = kenlm.Model(word_lm)
    expected = max((lm.score(" ".join(words)), words) for words in (["ab"], ["a", "b"]))
    best = search(log_probs)[0]
    assert best.words == expected[1]
    assert (best.am_score, best.score) == (pytest.approx(0.0), pytest.approx(expected[0], abs=1e-4))


def test_the_lexicon_leaves_nothing_else(tmp_path):
    """Words are found although another spelling is likelier, and the last one needs no <space> behind it."""
    (tmp_path / "lex").write_text("ab\nba\n")
    log_probs = np.full((4, 5), -8.0, dtype=np.float32)
    for frame, token in enumerate([3, 3, 0, 3]):  # "aa"
        log_probs[frame, token] = -0.1
    log_probs[3, 4] = -1.0
    found = BeamSearch(CHARS, DecodeConfig(search="beam", lexicon=str(tmp_path / "lex")))(log_probs)
    assert found[0].words == ["ab"]
    assert found[0].score == pytest.approx(-0.1 * 3 - 1.0, abs=1e-4)


def test_languages_are_no_part_of_the_search(models):
    tokenizer = Tokenizer(
        "char", ["<blank>", "<unk>", "[fra]", "[rus]", "<space>", "a", "b"], languages=["fra", "rus"]
    )
    log_probs = emissions(5, 7, seed=4)
    options = DecodeConfig(search="beam", lm=str(models["arpa"]), beam=200, nbest=10)
    found = BeamSearch(tokenizer, options)(log_probs)
    assert all(set(one.ids).isdisjoint((2, 3)) for one in found)
    blank = np.logaddexp.reduce(log_probs[:, [0, 2, 3]], axis=1)
    alone = np.concatenate([blank[:, None], log_probs[:, [1, 4, 5, 6]]], axis=1)
    same = BeamSearch(CHARS, options)(alone)
    assert [[i - 2 for i in one.ids] for one in found] == [one.ids for one in same]
    assert [one.score for one in found] == pytest.approx([one.score for one in same], abs=1e-4)


def test_other_weights_without_loading_again(models):
    log_probs = emissions(20, 5, seed=2)
    options = DecodeConfig(search="beam", lm=str(models["arpa"]), lm_weight=1.0)
    search = BeamSearch(CHARS, options)
    for weight in (0.0, 3.0, 1.0):
        other = replace(options, lm_weight=weight)
        assert search(log_probs, other) == BeamSearch(CHARS, other)(log_probs)
    assert search(log_probs) == search(log_probs, options)


def test_nbest_differ_and_are_sorted(models):
    options = DecodeConfig(search="beam", lm=str(models["arpa"]), nbest=8)
    found = BeamSearch(CHARS, options)(emissions(12, 5))
    assert len(found) == len({tuple(one.ids) for one in found}) == 8
    assert [one.score for one in found] == sorted((one.score for one in found), reverse=True)


def test_broken_models(models, tmp_path, caplog):
    cut = tmp_path / "cut.arpa"
    cut.write_text(ARPA[:250])
    with pytest.raises(UserError, match=r"cut.arpa:\d+: .* (cut off|damaged)"):
        BeamSearch(CHARS, DecodeConfig(search="beam", lm=str(cut)))
    short = tmp_path / "short.bin"
    short.write_bytes(models["binary"].read_bytes()[:200])
    with pytest.raises(UserError, match="KenLM cannot read the language model .*short.bin: .*size 200"):
        BeamSearch(CHARS, DecodeConfig(search="beam", lm=str(short)))
    more = Tokenizer("char", [*CHARS.tokens, "c"])
    BeamSearch(more, DecodeConfig(search="beam", lm=str(models["arpa"])))
    assert "does not know 1 of the 4 tokens and scores them as <unk>, e.g. 'c'" in caplog.text
