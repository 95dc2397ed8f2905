"""Text to token ids and back: characters, sentencepiece units, or phones."""

import base64
import json
import os
import zlib
from collections.abc import Sequence
from pathlib import Path

import sentencepiece

from peft_asr.errors import UserError
from peft_asr.files import atomic_path, read_json, write_json, write_text
from peft_asr.text.normalize import clean

BLANK, UNKNOWN, SPACE = "<blank>", "<unk>", "<space>"
TYPES = ("char", "bpe", "unigram", "phone")
LANGUAGES_ONLY = "lang"  # the type of a list for the task lid, made by itself
SPOKEN_NOISE = "SPN"  # the phone that stands for an unknown word, in lexicons that have it
# What an unknown token prints as: one character, so that it counts as one error (sentencepiece's choice too).
UNKNOWN_TEXT = "\u2047"


def language_token(code: str) -> str:
    """How a token list writes a language."""
    return f"[{code}]"


class Tokenizer:
    """A token list and the way from text to it.

    ========  =============================================================================
    char      characters (NFC); a blank is ``<space>``
    bpe       pieces of a sentencepiece model; ``unigram`` likewise
    phone     symbols between blanks; with a lexicon, words become their pronunciation first
    lang      none: the list has languages alone
    ========  =============================================================================

    Attributes:
        type: one of ``TYPES``, or ``lang``.
        tokens: index = id; 0 is ``<blank>`` (CTC's), 1 ``<unk>``; then one ``[code]`` for each of ``languages``.
        model: serialised sentencepiece model, or None. Its piece i > 0 is token i + 1 + number of languages.
        lexicon: word -> pronunciation (phones between blanks), or None.
        languages: codes, in the order of their tokens; [] in a list without languages.
    """

    def __init__(
        self,
        type: str,
        tokens: list[str],
        model: bytes | None = None,
        lexicon: dict[str, str] | None = None,
        languages: Sequence[str] = (),
    ):
        if type not in (*TYPES, LANGUAGES_ONLY):
            raise UserError(f"unknown token type '{type}'; allowed: {', '.join(TYPES)}")
        if tokens[:2] != [BLANK, UNKNOWN] or len(set(tokens)) != len(tokens):
            raise UserError(
                f"a token list starts with {BLANK}, {UNKNOWN} and has no token twice: {tokens[:5]}"
            )
        self.languages, first = list(languages), 2 + len(languages)
        if tokens[2:first] != [language_token(code) for code in languages]:
            raise UserError(
                f"the languages {', '.join(map(str, languages))} do not follow {UNKNOWN} in the token list"
            )
        self.type, self.tokens, self.model, self.lexicon = type, tokens, model, lexicon
        self._ids = {token: index for index, token in enumerate(tokens)}
        self._pieces = None
        if type in ("bpe", "unigram"):
            self._pieces = sentencepiece.SentencePieceProcessor(model_proto=model)
            if self._pieces.get_piece_size() - 1 + first != len(tokens):
                raise UserError(
                    f"the token list has {len(tokens)} tokens, its sentencepiece model "
                    f"{self._pieces.get_piece_size() - 1 + first}; make both again (stage 2)"
                )

    def __len__(self) -> int:
        return len(self.tokens)

    def encode(self, text: str) -> list[int]:
        """Token ids of a transcript; unknown symbols become ``<unk>`` (1)."""
        if self._pieces is not None:
            return [1 + index + self._shift(index) for index in self._pieces.encode(clean(text))]
        return [self._ids.get(symbol, 1) for symbol in self._symbols(text)]

    def decode(self, ids: list[int]) -> str:
        """Text of token ids that are collapsed already; blanks and languages are passed over."""
        ids = [index for index in ids if index != 0 and self.language(index) is None]
        if self._pieces is not None:
            return clean(self._pieces.decode([index - 1 - self._shift(index - 1) for index in ids]))
        tokens = [UNKNOWN_TEXT if index == 1 else self.tokens[index] for index in ids]
        if self.type == "phone":
            return " ".join(tokens)
        return clean("".join(" " if token == SPACE else token for token in tokens))

    def unknown(self, text: str) -> list[str]:
        """What in ``text`` has no token: characters; for phones, words outside the lexicon, or symbols."""
        text = clean(text)
        if self._pieces is not None:
            ids, pieces = self._pieces.encode(text), self._pieces.encode(text, out_type=str)
            unknown = (piece for index, piece in zip(ids, pieces, strict=True) if index == 0)
            return sorted({letter for piece in unknown for letter in piece} - {"\u2581"})
        if self.lexicon is not None:
            return sorted({word for word in text.split() if word not in self.lexicon})
        missing = {symbol for symbol in self._symbols(text) if symbol not in self._ids}
        return sorted(" " if symbol == SPACE else symbol for symbol in missing)

    def phones(self, text: str) -> list[str] | None:
        """The phones of a transcript, stress marks kept; for tokens of type phone.

        With a lexicon, those of its words. A word outside it is the phone ``SPN`` if the lexicon has that one; else
        the transcript has no phones: None.
        """
        words = clean(text).split()
        if self.lexicon is None:
            return words
        outside = SPOKEN_NOISE if SPOKEN_NOISE in self._ids else None
        spoken = [self.lexicon.get(word, outside) for word in words]
        return None if None in spoken else [phone for phones in spoken for phone in phones.split()]

    def phone_ids(self, phones: list[str]) -> list[int]:
        """Token ids of ``phones``' answer."""
        return [self._ids.get(phone, 1) for phone in phones]

    def language_id(self, code: str | None) -> int:
        """The token of a language; ``<unk>`` (1) for a code that the list does not have."""
        return 2 + self.languages.index(code) if code in self.languages else 1

    def language(self, index: int) -> str | None:
        """The language of a token id; None if the token is another."""
        return self.languages[index - 2] if 2 <= index < 2 + len(self.languages) else None

    def _shift(self, index: int) -> int:
        """How far the languages push sentencepiece's piece of this id back; its id 0 is ``<unk>``, before them."""
        return len(self.languages) if index > 0 else 0

    def _symbols(self, text: str) -> list[str]:
        text = clean(text)
        if self.type == "char":
            return [SPACE if character == " " else character for character in text]
        if self.lexicon is None:
            return text.split()
        return [phone for word in text.split() for phone in self.lexicon.get(word, UNKNOWN).split()]

    def state(self) -> dict:
        """Everything, as values that JSON can hold."""
        state: dict = {"type": self.type, "tokens": self.tokens}
        if self.languages:
            state["languages"] = self.languages
        if self.model is not None:
            state["model_base64"] = base64.b64encode(self.model).decode("ascii")
        if self.lexicon is not None:
            packed = zlib.compress(
                json.dumps(self.lexicon, ensure_ascii=False, sort_keys=True).encode("utf-8"), 9
            )
            state["lexicon_zlib_base64"] = base64.b64encode(packed).decode("ascii")
        return state

    @classmethod
    def from_state(cls, state: dict) -> "Tokenizer":
        """The inverse of ``state``.

        Raises:
            UserError: the state is damaged.
        """
        try:
            model, lexicon = state.get("model_base64"), state.get("lexicon_zlib_base64")
            return cls(
                state["type"],
                list(state["tokens"]),
                model=None if model is None else base64.b64decode(model, validate=True),
                lexicon=None if lexicon is None else json.loads(zlib.decompress(base64.b64decode(lexicon))),
                languages=state.get("languages", []),
            )
        except (KeyError, TypeError, ValueError, AttributeError, zlib.error, RuntimeError) as err:
            raise UserError(f"the saved token list is damaged: {err!r}") from err

    def save(self, token_dir: str | os.PathLike, origin: dict | None = None) -> None:
        """Write ``bpe.model`` or ``lexicon.json`` if there is one, ``tokenizer.json``, then ``tokens.txt``.

        Args:
            token_dir: the directory.
            origin: what the list was made from, kept in ``tokenizer.json``.
        """
        folder = Path(token_dir)
        (folder / "tokens.txt").unlink(missing_ok=True)  # its presence says that the others belong to it
        if self.model is not None:
            with atomic_path(folder / "bpe.model") as temporary:
                temporary.write_bytes(self.model)
        if self.lexicon is not None:
            write_json(folder / "lexicon.json", self.lexicon)
        languages = {"languages": self.languages} if self.languages else {}
        write_json(folder / "tokenizer.json", {"type": self.type, **languages, "origin": origin or {}})
        write_text(folder / "tokens.txt", "".join(f"{token}\n" for token in self.tokens))

    @classmethod
    def load(cls, token_dir: str | os.PathLike) -> "Tokenizer":
        """Read what ``save`` wrote.

        Raises:
            UserError: stage 2 has not been run, or a file is missing or damaged.
        """
        folder = Path(token_dir)
        try:
            tokens = (folder / "tokens.txt").read_text(encoding="utf-8").split("\n")[:-1]
        except (OSError, UnicodeDecodeError):
            raise UserError(
                f"no token list {folder}/tokens.txt: run stage 2 first (--stage 2 --stop_stage 2)"
            ) from None
        saved = read_json(folder / "tokenizer.json")
        saved = saved if isinstance(saved, dict) else {}
        type = saved.get("type")
        model = lexicon = None
        if type in ("bpe", "unigram"):
            try:
                model = (folder / "bpe.model").read_bytes()
            except OSError as err:
                raise UserError(f"cannot read {folder}/bpe.model: {err.strerror}; run stage 2 again") from err
        if (folder / "lexicon.json").is_file() and type == "phone":
            lexicon = read_json(folder / "lexicon.json")
        try:
            return cls(type, tokens, model, lexicon, saved.get("languages", []))
        except TypeError as err:
            raise UserError(f"{folder}/tokenizer.json is damaged; run stage 2 again") from err
        except RuntimeError as err:
            raise UserError(f"{folder}/bpe.model is not a sentencepiece model; run stage 2 again") from err
