"""Token lists: text to ids and back, saving, building."""

import json
import logging
import random

import pytest

from peft_asr.data.tables import write_table
from peft_asr.errors import UserError
from peft_asr.text.build import build, make_tokens, read_lexicon
from peft_asr.text.normalize import clean
from peft_asr.text.tokenizer import Tokenizer

LINES = ["the cat sat on the mat", "the dog ate the cat's food", "été à la plage"]
LEXICON = {"the": "DH AH", "cat": "K AE T", "a": "AH"}


def every_type():
    return [
        build(LINES, "char", 0),
        build(LINES, "bpe", 40),
        build(LINES, "unigram", 22),
        build(["DH AH K AE T"], "phone", 0),
        build(["the cat"], "phone", 0, LEXICON),
    ]


@pytest.fixture(params=range(5), ids=["char", "bpe", "unigram", "phone", "phone_lexicon"])
def tokenizer(request):
    return every_type()[request.param]


def test_clean():
    assert clean(" e\u0301te\u0301 \t\u00a0 x\u3000y \n") == "été x y"
    assert clean(clean("A\u030a  B")) == clean("A\u030a  B") == "Å B"
    assert clean("İI ıi ß") == "İI ıi ß"  # case is kept


def test_char_tokens_and_ids():
    tokenizer = build(["b a", "c"], "char", 0)
    assert tokenizer.tokens == ["<blank>", "<unk>", "<space>", "a", "b", "c"]
    assert tokenizer.encode("a  c b ") == [3, 2, 5, 2, 4]
    assert tokenizer.decode([3, 2, 5, 2, 4]) == "a c b"
    assert tokenizer.encode("axé") == [3, 1, 1]
    assert tokenizer.unknown("axéx") == ["x", "é"]
    assert tokenizer.decode([3, 1, 4]) == "a⁇b"
    assert tokenizer.decode([0, 3, 0, 4, 2, 2]) == "ab"
    assert len(tokenizer) == 6


def test_char_without_blanks_in_the_text():
    tokenizer = build(["ab"], "char", 0)
    assert tokenizer.tokens == ["<blank>", "<unk>", "a", "b"]
    assert tokenizer.unknown("a b") == [" "]
    assert tokenizer.encode("a b") == [2, 1, 3]


def test_composed_and_decomposed_letters_are_one():
    tokenizer = build(["été"], "char", 0)
    assert tokenizer.tokens[2:] == ["t", "é"]
    assert tokenizer.encode("e\u0301te\u0301") == [3, 2, 3]


@pytest.mark.parametrize(("type", "size"), [("bpe", 36), ("unigram", 22)])
def test_sentencepiece_round_trip(type, size):
    tokenizer = build(LINES, type, size)
    assert tokenizer.tokens[:2] == ["<blank>", "<unk>"] and len(tokenizer) == size + 1
    for line in LINES:
        ids = tokenizer.encode(line)
        assert tokenizer.decode(ids) == line and min(ids) > 1
        assert "".join(tokenizer.tokens[i] for i in ids) == "▁" + line.replace(" ", "▁")
        assert len(ids) < len(line)
    assert tokenizer.unknown("the cat") == []
    assert tokenizer.unknown("the zéro qat") == ["q", "r", "z"]
    assert 1 in tokenizer.encode("q")


@pytest.mark.parametrize("type", ["bpe", "unigram"])
def test_sentencepiece_folds_no_letters(type):
    line = "ﬁ ① Å é"  # its default rule would write fi, 1, ...
    tokenizer = build([line], type, 20)
    assert tokenizer.decode(tokenizer.encode(line)) == clean(line)
    assert tokenizer.unknown(line) == []


def test_long_lines_are_not_passed_over():
    tokenizer = build(["a b " * 5000 + "z"], "bpe", 8)
    assert tokenizer.unknown("z") == []


def test_too_many_pieces_are_lowered_with_one_line(caplog):
    tokenizer = build(["the cat sat on the mat"], "bpe", 350)
    (message,) = caplog.messages
    lowered = len(tokenizer) - 1
    assert message == f"--nbpe 350 is too large for this text: lowered to {lowered}" and 12 < lowered < 100
    assert tokenizer.decode(tokenizer.encode("the cat")) == "the cat"


def test_too_few_pieces():
    with pytest.raises(UserError, match=r"^--nbpe 5 is too small: the characters of the text alone need 19$"):
        build(LINES, "bpe", 5)


@pytest.mark.parametrize("type", ["char", "bpe", "unigram"])
def test_building_twice_gives_the_same(type):
    rng = random.Random(0)
    words = ["".join(rng.choices("abcdefgh", k=rng.randint(1, 6))) for _ in range(60)]
    lines = [" ".join(rng.choices(words, k=8)) for _ in range(200)]
    assert build(lines, type, 50).state() == build(list(lines), type, 50).state()


def test_phones_from_a_lexicon():
    tokenizer = build(["the cat"], "phone", 0, LEXICON)
    assert tokenizer.tokens == ["<blank>", "<unk>", "AE", "AH", "DH", "K", "T"]
    assert tokenizer.encode("the  cat a") == [4, 3, 5, 2, 6, 3]
    assert tokenizer.decode([4, 3, 5, 2, 6]) == "DH AH K AE T"
    assert tokenizer.unknown("the dog") == ["dog"]
    assert tokenizer.encode("the dog") == [4, 3, 1]


def test_phones_in_the_text():
    tokenizer = build(["DH AH", "K AE T"], "phone", 0)
    assert tokenizer.encode("K AH ZH") == [5, 3, 1]
    assert tokenizer.unknown("K AH ZH") == ["ZH"]


def test_words_outside_the_lexicon_are_told(caplog):
    build(["the dog", "eats a cat", "the cat"], "phone", 0, LEXICON)
    build(["the dog"], "phone", 0, {**LEXICON, "<noise>": "SPN"})
    build(["the cat"], "phone", 0, LEXICON)
    start = "of the text are not in the --lexicon, e.g. dog"
    assert caplog.messages == [
        f"2 words in 2 of 3 lines {start}, eats: the task pr leaves these lines out",
        f"1 words in 1 of 1 lines {start}: the task pr reads each as the phone SPN",
    ]
    with pytest.raises(
        UserError,
        match=r"^every line of the text has a word that is not in the --lexicon, e\.g\. DOG, THE: .* case of letters$",
    ):
        build(["THE DOG", "THE"], "phone", 0, LEXICON)


def test_phones_of_a_transcript():
    with_lexicon = build(["the cat"], "phone", 0, LEXICON)
    assert with_lexicon.phones(" the  cat") == ["DH", "AH", "K", "AE", "T"]
    assert with_lexicon.phones("the dog") is None
    noisy = build(["the"], "phone", 0, {"the": "DH AH1", "<noise>": "SPN"})
    assert noisy.phones("the dog the") == ["DH", "AH1", "SPN", "DH", "AH1"]
    assert build(["DH AH"], "phone", 0).phones("DH ZH") == ["DH", "ZH"]


@pytest.mark.parametrize(("type", "size"), [("char", 0), ("bpe", 40), ("unigram", 22), ("phone", 0)])
def test_languages_stand_before_the_units_and_change_nothing_else(type, size, tmp_path):
    plain, made = build(LINES, type, size), build(LINES, type, size, languages=["fra", "swa"])
    assert plain.languages == [] and made.languages == ["fra", "swa"]
    assert made.tokens == ["<blank>", "<unk>", "[fra]", "[swa]", *plain.tokens[2:]]
    for line in [*LINES, "the Ж dog"]:
        ids = plain.encode(line)
        assert made.encode(line) == [i + 2 if i > 1 else i for i in ids]
        assert made.decode([2, *made.encode(line)]) == plain.decode(ids)
        assert made.unknown(line) == plain.unknown(line)
    assert [made.language_id(code) for code in ("fra", "swa", "deu", None)] == [2, 3, 1, 1]
    assert [made.language(i) for i in range(5)] == [None, None, "fra", "swa", None]
    made.save(tmp_path)
    for again in (Tokenizer.load(tmp_path), Tokenizer.from_state(json.loads(json.dumps(made.state())))):
        assert again.state() == made.state() and again.languages == ["fra", "swa"]


@pytest.mark.parametrize("languages", [["swa", "fra"], ["fra", "swa", "a"], "fra", 3, [3]])
def test_damaged_languages(languages, tmp_path):
    made = build(["a b"], "char", 0, languages=["fra", "swa"])
    made.save(tmp_path)
    saved = json.loads((tmp_path / "tokenizer.json").read_text())
    (tmp_path / "tokenizer.json").write_text(json.dumps({**saved, "languages": languages}))
    with pytest.raises(UserError, match="languages|damaged"):
        Tokenizer.load(tmp_path)


def test_make_tokens_with_languages(tmp_path, caplog):
    caplog.set_level(logging.INFO)
    write_table(tmp_path / "text", {"a": "x", "b": "y"})
    write_table(tmp_path / "utt2lang", {"a": "swa", "b": "fra", "c": "deu"})
    inputs = {"text": tmp_path / "text", "utt2lang": tmp_path / "utt2lang"}
    joint = make_tokens(type="char", out_dir=tmp_path / "joint", task="asr_lid", **inputs)
    assert joint.tokens == ["<blank>", "<unk>", "[fra]", "[swa]", "x", "y"]
    for _ in range(2):
        lid = make_tokens(type="bpe", out_dir=tmp_path / "lid", task="lid", **inputs)
        assert (lid.type, lid.tokens) == ("lang", ["<blank>", "<unk>", "[fra]", "[swa]"])
    assert caplog.messages[-1].endswith("is complete and made from these inputs: nothing to do")
    assert (lid.encode("x"), lid.decode([2, 3]), lid.unknown("x")) == ([1], "", ["x"])
    write_table(tmp_path / "utt2lang", {"a": "swa", "b": "swa"})
    assert make_tokens(type="bpe", out_dir=tmp_path / "lid", task="lid", **inputs).languages == ["swa"]
    assert make_tokens(tmp_path / "text", "char", tmp_path / "plain", task="asr").languages == []


def test_bad_utt2lang(tmp_path):
    write_table(tmp_path / "text", {"a": "x", "b": "y"})
    arguments = {"type": "char", "out_dir": tmp_path / "out", "task": "lid"}
    with pytest.raises(
        UserError, match="--task lid needs --utt2lang, lines 'utterance code' .*, which was not given$"
    ):
        make_tokens(tmp_path / "text", **arguments)
    with pytest.raises(UserError, match="needs --utt2lang, .*, and there is no .*utt2lang$"):
        make_tokens(tmp_path / "text", **arguments, utt2lang=tmp_path / "utt2lang")
    write_table(tmp_path / "utt2lang", {"a": "fra"})
    with pytest.raises(UserError, match="utt2lang has no language for 'b'$"):
        make_tokens(tmp_path / "text", **arguments, utt2lang=tmp_path / "utt2lang")
    write_table(tmp_path / "utt2lang", {"a": "fra", "b": "swa kenya"})
    with pytest.raises(
        UserError, match="'swa kenya' of 'b' is no language code; allowed: one word without brackets"
    ):
        make_tokens(tmp_path / "text", **arguments, utt2lang=tmp_path / "utt2lang")
    assert not (tmp_path / "out").exists()


def test_lexicon_file(tmp_path):
    path = tmp_path / "lexicon.txt"
    path.write_text(";;; a comment\nthe DH AH\nthe DH IY\n\ncat\tK AE T\n")
    assert read_lexicon(path) == {"the": "DH AH", "cat": "K AE T"}
    path.write_text("the DH AH\ncat\n")
    with pytest.raises(UserError, match=r"lexicon.txt:2: the word 'cat' has no phones$"):
        read_lexicon(path)
    path.write_bytes(b"caf\xe9 K\n")
    with pytest.raises(UserError, match="is not UTF-8"):
        read_lexicon(path)
    path.write_text("\n")
    with pytest.raises(UserError, match="has no word"):
        read_lexicon(path)
    with pytest.raises(UserError, match="cannot read --lexicon .*nowhere"):
        read_lexicon(tmp_path / "nowhere")


def test_save_and_load(tokenizer, tmp_path):
    tokenizer.save(tmp_path / "tokens")
    loaded = Tokenizer.load(tmp_path / "tokens")
    assert loaded.state() == tokenizer.state() and loaded.type == tokenizer.type
    for line in [*LINES, "the cat", "K AE T"]:
        assert loaded.encode(line) == tokenizer.encode(line)
    assert (tmp_path / "tokens" / "tokens.txt").read_text().split("\n")[:-1] == tokenizer.tokens


def test_state_survives_json(tokenizer):
    loaded = Tokenizer.from_state(json.loads(json.dumps(tokenizer.state())))
    assert loaded.tokens == tokenizer.tokens and loaded.type == tokenizer.type
    for line in [*LINES, "the cat", "K AE T"]:
        assert loaded.encode(line) == tokenizer.encode(line)
        assert loaded.decode(loaded.encode(line)) == tokenizer.decode(tokenizer.encode(line))


@pytest.mark.parametrize(
    "change",
    [
        {"type": None},
        {"type": "bpe", "model_base64": "!"},
        {"type": "bpe", "model_base64": "AAAA"},
        {"tokens": None},
        {"tokens": ["a"]},
        {"lexicon_zlib_base64": "AAAA"},
    ],
)
def test_damaged_state(change):
    with pytest.raises(UserError):
        Tokenizer.from_state(build(LINES, "char", 0).state() | change)


def test_missing_and_damaged_files(tmp_path):
    with pytest.raises(
        UserError, match=r"no token list .*tokens.txt: run stage 2 first \(--stage 2 --stop_stage 2\)"
    ):
        Tokenizer.load(tmp_path)
    tokenizer = build(LINES, "bpe", 40)
    tokenizer.save(tmp_path)
    (tmp_path / "bpe.model").write_bytes(b"nothing")
    with pytest.raises(UserError, match="bpe.model is not a sentencepiece model"):
        Tokenizer.load(tmp_path)
    (tmp_path / "bpe.model").unlink()
    with pytest.raises(UserError, match="cannot read .*bpe.model"):
        Tokenizer.load(tmp_path)
    build(LINES, "bpe", 30).save(tmp_path)
    (tmp_path / "tokens.txt").write_text("".join(f"{token}\n" for token in tokenizer.tokens))
    with pytest.raises(UserError, match="the token list has 41 tokens, its sentencepiece model 31"):
        Tokenizer.load(tmp_path)
    (tmp_path / "tokenizer.json").write_text("[]")
    with pytest.raises(UserError, match="unknown token type"):
        Tokenizer.load(tmp_path)


def test_make_tokens_once(tmp_path, caplog):
    caplog.set_level(logging.INFO)
    write_table(tmp_path / "text", {"a": "x y", "b": "z"})
    made = make_tokens(tmp_path / "text", "char", tmp_path / "out")
    assert made.tokens == ["<blank>", "<unk>", "<space>", "x", "y", "z"]
    time = (tmp_path / "out" / "tokens.txt").stat().st_mtime_ns
    assert make_tokens(tmp_path / "text", "char", tmp_path / "out").tokens == made.tokens
    assert caplog.messages[-1].endswith("is complete and made from these inputs: nothing to do")
    assert (tmp_path / "out" / "tokens.txt").stat().st_mtime_ns == time
    write_table(tmp_path / "text", {"a": "x y", "b": "w"})
    assert make_tokens(tmp_path / "text", "char", tmp_path / "out").tokens[-3:] == ["w", "x", "y"]
    assert make_tokens(tmp_path / "text", "bpe", tmp_path / "out", nbpe=6).type == "bpe"
    assert Tokenizer.load(tmp_path / "out").type == "bpe"


def test_make_tokens_with_a_lexicon(tmp_path):
    write_table(tmp_path / "text", {"a": "the cat"})
    (tmp_path / "lexicon").write_text("the DH AH\ncat K AE T\n")
    made = make_tokens(tmp_path / "text", "phone", tmp_path / "out", lexicon=tmp_path / "lexicon")
    assert Tokenizer.load(tmp_path / "out").encode("cat") == made.encode("cat") == [5, 2, 6]


@pytest.mark.parametrize("type", ["char", "bpe", "unigram", "phone"])
def test_no_text(type, tmp_path):
    with pytest.raises(UserError, match="a token list needs text, and there is none"):
        build(["", "  "], type, 10)
    (tmp_path / "text").touch()
    with pytest.raises(UserError, match="the file is empty"):
        make_tokens(tmp_path / "text", type, tmp_path / "out")


def test_wrong_arguments(tmp_path):
    with pytest.raises(UserError, match="unknown --type 'word'; allowed: char, bpe, unigram, phone"):
        make_tokens(tmp_path / "text", "word", tmp_path)
    with pytest.raises(UserError, match="--lexicon goes with --type phone, not with --type char"):
        make_tokens(tmp_path / "text", "char", tmp_path, lexicon="x")
