"""Token lists as transformers' CTC tokenizer keeps them, and back."""

from pathlib import Path

import torch

from peft_asr.errors import UserError
from peft_asr.files import read_json, write_json
from peft_asr.text.tokenizer import BLANK, SPACE, UNKNOWN, UNKNOWN_TEXT, Tokenizer

DELIMITER = "|"  # stands for the space; transformers 5 reads no other one back


def write_vocabulary(folder: Path, tokenizer: Tokenizer) -> None:
    """Write vocab.json, tokenizer_config.json and special_tokens_map.json of ``Wav2Vec2CTCTokenizer``.

    Ids stay. The blank is the padding token, as CTC has it there. An unknown token prints as it does here, which in
    that tokenizer is its name.

    Raises:
        UserError: the list has the character that stands for the space there.
    """
    if DELIMITER in tokenizer.tokens:
        raise UserError(
            f"the token list has '{DELIMITER}', which is the space in transformers' CTC tokenizer; train with text "
            "that does not have it to export"
        )
    names = {UNKNOWN: UNKNOWN_TEXT, SPACE: DELIMITER}
    special = {"pad_token": BLANK, "unk_token": UNKNOWN_TEXT}
    write_json(folder / "vocab.json", {names.get(t, t): i for i, t in enumerate(tokenizer.tokens)})
    write_json(folder / "special_tokens_map.json", special)
    write_json(
        folder / "tokenizer_config.json",
        {
            "tokenizer_class": "Wav2Vec2CTCTokenizer",
            **special,
            "bos_token": None,
            "eos_token": None,
            "word_delimiter_token": DELIMITER,
            "replace_word_delimiter_char": " ",
            "do_lower_case": False,
            "clean_up_tokenization_spaces": False,
        },
    )


def read_vocabulary(folder: Path, classes: int) -> tuple[Tokenizer, torch.Tensor]:
    """The token list of a directory of transformers.

    Returns:
        A tokenizer of characters, and (classes,) which of their ids each of its tokens has: the blank and the unknown
        token come first here.

    Raises:
        UserError: no vocab.json; not one token for each of the ``classes``; no blank, or no unknown token.
    """
    where = folder / "vocab.json"
    if not where.is_file():
        raise UserError(
            f"{folder} has no vocab.json; give the token list with --tokens FILE, one token a line"
        )
    options = _options(folder)
    vocabulary = {**read_json(where), **options["added"]}
    if not all(type(index) is int for index in vocabulary.values()):
        raise UserError(
            f"{where} does not map tokens to numbers (several languages in one?); give --tokens FILE"
        )
    by_id = {index: token for token, index in vocabulary.items()}
    if sorted(by_id) != list(range(classes)):
        raise UserError(
            f"{where} has {len(by_id)} tokens and the head {classes} classes; give the token list with --tokens FILE"
        )
    if options["lower"]:
        raise UserError(
            f"the tokenizer of {folder} has do_lower_case set, which is not supported; give --tokens FILE"
        )
    names = {options["pad"]: BLANK, options["unk"]: UNKNOWN}
    missing = [name for name in names if name not in vocabulary]
    if missing:
        raise UserError(
            f"{where} lacks '{missing[0]}', which tokenizer_config.json names as its "
            f"{'blank' if names[missing[0]] == BLANK else 'unknown token'}; give the token list with --tokens FILE"
        )
    first = [vocabulary[options["pad"]], vocabulary[options["unk"]]]
    order = first + [index for index in range(classes) if index not in first]
    names[options["delimiter"]] = SPACE
    tokens = [names.get(by_id[index], by_id[index]) for index in order]
    return Tokenizer("char", tokens), torch.tensor(order)


def read_token_file(path: str, classes: int) -> Tokenizer:
    """One token a line, <blank> and <unk> first, as stage 2 writes tokens.txt.

    Raises:
        UserError: unreadable, or not one token for each of the ``classes``.
    """
    try:
        tokens = Path(path).read_text(encoding="utf-8").split("\n")
    except (OSError, UnicodeDecodeError) as err:
        raise UserError(f"cannot read --tokens {path}: {err}") from err
    tokens = tokens[:-1] if tokens[-1] == "" else tokens
    if len(tokens) != classes:
        raise UserError(f"--tokens {path} has {len(tokens)} tokens and the head {classes} classes")
    return Tokenizer("char", tokens)


def _options(folder: Path) -> dict:
    """Names of the special tokens; transformers' defaults where the files are silent."""
    given: dict = {}
    for name in ("special_tokens_map.json", "tokenizer_config.json"):
        if (folder / name).is_file():
            given |= read_json(folder / name)
    added = read_json(folder / "added_tokens.json") if (folder / "added_tokens.json").is_file() else {}
    added |= {t["content"]: int(i) for i, t in given.get("added_tokens_decoder", {}).items()}
    return {
        "pad": _text(given.get("pad_token", "<pad>")),
        "unk": _text(given.get("unk_token", "<unk>")),
        "delimiter": _text(given.get("word_delimiter_token", DELIMITER)),
        "lower": bool(given.get("do_lower_case")),
        "added": added,
    }


def _text(token) -> str:
    return token["content"] if isinstance(token, dict) else token
