"""The tasks by name, and what each makes of labels and outputs."""

import argparse
import math

import pytest
import torch

from peft_asr.bin import tokens
from peft_asr.config import Config
from peft_asr.data.batch import Batch
from peft_asr.errors import UserError
from peft_asr.heads import HEADS
from peft_asr.tasks import TASKS, Reading, get_task, resolve, task_class
from peft_asr.tasks.lid import LidTask, PooledLidTask
from peft_asr.text.tokenizer import Tokenizer

CHARS = Tokenizer("char", ["<blank>", "<unk>", "<space>", "a", "b"])
LANGUAGES = Tokenizer("lang", ["<blank>", "<unk>", "[fra]", "[swa]"], languages=["fra", "swa"])
JOINT = Tokenizer(
    "char", ["<blank>", "<unk>", "[fra]", "[swa]", "<space>", "a", "b"], languages=["fra", "swa"]
)
PHONES = Tokenizer(
    "phone", ["<blank>", "<unk>", "AH0", "AH1", "DH", "K"], lexicon={"the": "DH AH0", "duck": "K AH1 K"}
)
NOISY = Tokenizer(
    "phone", ["<blank>", "<unk>", "AH0", "DH", "SPN"], lexicon={"the": "DH AH0", "<noise>": "SPN"}
)
LISTS = {"asr": CHARS, "pr": PHONES, "lid": LANGUAGES, "asr_lid": JOINT}


def path_logits(paths: list[list[int]], classes: int) -> tuple[torch.Tensor, torch.Tensor]:
    """Logits whose best path is the one given; beyond an utterance's end the best token is the last one."""
    lengths = torch.tensor([len(path) for path in paths])
    logits = torch.zeros(len(paths), int(lengths.max()), classes)
    logits[..., classes - 1] = 3.0
    for row, path in enumerate(paths):
        logits[row, : len(path)] = torch.nn.functional.one_hot(torch.tensor(path), classes) * 8.0
    return logits, lengths


def batch_of(labels: list[list[int]]) -> Batch:
    """Only what a loss reads."""
    lengths = torch.tensor([len(ids) for ids in labels])
    padded = torch.nn.utils.rnn.pad_sequence([torch.tensor(ids) for ids in labels], batch_first=True)
    return Batch(
        list("xyz"[: len(labels)]), torch.zeros(len(labels), 9), lengths, padded, lengths, [""] * len(labels)
    )


def test_every_task_has_a_list_here_and_a_name_in_the_command():
    assert set(LISTS) == set(TASKS)
    parser = argparse.ArgumentParser()
    tokens.add_arguments(parser)
    (option,) = (action for action in parser._actions if action.dest == "task")
    assert set(option.choices) == set(TASKS)


@pytest.mark.parametrize("name", TASKS)
def test_what_a_task_says_of_itself(name):
    task = get_task(name, LISTS[name])
    assert (task.name, task.classes, task.ctc) == (name, len(LISTS[name]), True)
    expected = {"asr": ("wer", "cer"), "pr": ("per",), "lid": ("acc",), "asr_lid": ("cer", "acc")}
    assert task.metrics == expected[name]
    assert task.languages == ("lid" in name)


def test_the_head_decides_the_form_of_lid():
    for head, cls in HEADS.items():
        assert task_class("lid", head) is (PooledLidTask if cls.pooled else LidTask)
    assert not get_task("lid", LANGUAGES, "pooled").ctc


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (
            lambda: task_class("asr_lib"),
            r"unknown task 'asr_lib' \(did you mean 'asr_lid'\?\); allowed for task \(run.sh: --task\): asr, pr, lid, ",
        ),
        (
            lambda: task_class("asr", "pooled"),
            "the head 'pooled' gives one vector an utterance, and the task asr needs frames; allowed for head.name "
            "with it: linear, blstm, transformer, mlsuperb$",
        ),
        (lambda: task_class("lid", "lstm"), r"unknown head 'lstm' \(did you mean 'blstm'\?\)"),
        (
            lambda: get_task("pr", CHARS),
            "the task pr needs phones, and the tokens are of type char; make them with --token_type phone,",
        ),
        (
            lambda: get_task("lid", CHARS),
            "the task lid needs a token list with languages, and this one has none; make it with peft-asr tokens "
            "--task lid --utt2lang FILE",
        ),
        (lambda: get_task("asr_lid", CHARS), "the task asr_lid needs a token list with languages"),
    ],
)
def test_refused(call, message):
    with pytest.raises(UserError, match=message):
        call()


@pytest.mark.parametrize(
    ("task", "metric"), [("asr", "wer"), ("pr", "per"), ("lid", "acc"), ("asr_lid", "cer")]
)
def test_auto_is_the_first_metric(task, metric):
    config = resolve(Config(task=task))
    assert config.train.metric == metric and config.head.projection == 0 and config.peft.spec == "lora"
    assert resolve(config) == config
    config.train.metric = "loss"
    assert resolve(config).train.metric == "loss"


def test_readings():
    assert str(Reading("a b")) == "a b"
    assert str(Reading("a b", "fra")) == "[fra] a b"
    assert str(Reading("", "fra")) == "[fra]"
    assert str(Reading("fra", "fra")) == "fra"
    assert str(Reading("", None)) == ""


def test_asr():
    task = get_task("asr", CHARS)
    assert task.labels("ab a", "fra") == [3, 4, 2, 3]
    assert task.reference("ab a", "fra") == Reading("ab a")
    assert task.unknown("axe", None) == ["e", "x"]
    logits, lengths = path_logits([[3, 3, 0, 3, 2, 4], [0, 4]], 5)
    assert task.hypotheses(logits, lengths) == [Reading("aa b"), Reading("b")]
    assert task.blank_share(logits, lengths) == pytest.approx(2 / 8)
    step = math.log(math.exp(8) / (math.exp(8) + 4))
    assert task.scores(logits, lengths) == pytest.approx([6 * step, 2 * step], rel=1e-4)


def test_asr_lid_takes_text_and_language_apart():
    task = get_task("asr_lid", JOINT)
    assert task.labels("a b", "swa") == [3, 5, 4, 6]
    assert task.reference("a b", "swa") == Reading("a b", "swa")
    logits, lengths = path_logits([[3, 0, 5, 5, 4, 6], [5, 6, 0], [5, 2, 2, 6, 3]], 7)
    assert task.hypotheses(logits, lengths) == [Reading("a b", "swa"), Reading("ab"), Reading("ab", "fra")]
    assert task.labels("ax", "deu") == [1, 5, 1]
    assert task.unknown("ax", "deu") == ["x", "[deu]"]
    assert task.unknown("a", None) == []


def test_lid_by_ctc_is_one_token():
    task = get_task("lid", LANGUAGES)
    assert [task.labels("whatever it says", lang) for lang in ("fra", "swa", "deu", None)] == [
        [2],
        [3],
        [1],
        [1],
    ]
    assert (task.unknown("x", "deu"), task.unknown("x", None)) == (["[deu]"], [])
    assert task.reference("whatever", "swa") == Reading("swa", "swa")
    logits, lengths = path_logits([[0, 3, 3, 0], [0, 0], [1, 2, 3]], 4)
    assert [r.lang for r in task.hypotheses(logits, lengths)][::2] == ["swa", "fra"]
    assert task.read([1, 3, 2]) == Reading("swa", "swa") and task.read([1]) == Reading("")
    # The loss is CTC's: every path with the token once, against the sum written out.
    probs = torch.softmax(logits[0], dim=-1)
    blank, swa = probs[:, 0], probs[:, 3]
    total = sum(torch.cat([blank[:i], swa[i:j], blank[j:]]).prod() for i in range(4) for j in range(i + 1, 5))
    loss = task.loss(logits[:1], lengths[:1], batch_of([[3]]))
    assert loss.item() == pytest.approx(-math.log(total), rel=1e-4)


def test_lid_by_ctc_reads_the_likeliest_language_even_where_every_frame_is_blank():
    task = get_task("lid", LANGUAGES)
    torch.manual_seed(0)
    logits, lengths = 3 * torch.randn(5, 9, 4), torch.tensor([9, 4, 1, 9, 7])
    logits[3:, :, 0] = 12.0  # blank is the best of every frame
    logits[3:, :, 2] = 6.0
    logits[3:, :, [1, 3]] = 0.0
    each = torch.tensor(
        [
            [
                -task.loss(logits[i : i + 1, :n], lengths[i : i + 1], batch_of([[token]])).item()
                for token in (2, 3)
            ]
            for i, n in enumerate(lengths.tolist())
        ]
    )
    assert task.scores(logits, lengths) == pytest.approx(each.max(dim=1).values.tolist(), rel=1e-4)
    expected = [LANGUAGES.languages[i] for i in each.argmax(dim=1).tolist()]
    assert [r.lang for r in task.hypotheses(logits, lengths)] == expected
    assert expected[3:] == ["fra", "fra"] and task.blank_share(logits[3:], lengths[3:]) == 1.0


def test_lid_by_cross_entropy():
    task = get_task("lid", LANGUAGES, "pooled")
    logits = torch.tensor([[[9.0, 1.0, 2.0, 4.0]], [[0.0, 0.0, 3.0, 1.0]]])  # <blank> is never read
    lengths = torch.ones(2, dtype=torch.long)
    assert task.hypotheses(logits, lengths) == [Reading("swa", "swa"), Reading("fra", "fra")]
    log_probs = torch.log_softmax(logits[:, 0], dim=-1)
    assert task.scores(logits, lengths) == pytest.approx([log_probs[0, 3].item(), log_probs[1, 2].item()])
    loss = task.loss(logits, lengths, batch_of([[3], [2]]))
    assert loss.item() == pytest.approx(-(log_probs[0, 3] + log_probs[1, 2]).item() / 2)
    assert task.blank_share(logits, lengths) is None
    assert task.labels("x", "swa") == [3] and task.read([1]) == Reading("")


def test_pr_reads_phones_with_stress():
    task = get_task("pr", PHONES)
    assert task.labels("the duck", None) == [4, 2, 5, 3, 5]
    assert task.reference("the duck", None) == Reading("DH AH0 K AH1 K")
    logits, lengths = path_logits([[4, 0, 2, 5], [0]], 6)
    assert task.hypotheses(logits, lengths) == [Reading("DH AH0 K"), Reading("")]


def test_pr_and_words_outside_the_lexicon():
    assert get_task("pr", PHONES).labels("the dog", None) is None
    assert get_task("pr", PHONES).unknown("the dog", None) == []
    assert get_task("pr", PHONES).reference("the dog", None) == Reading("")
    assert get_task("pr", NOISY).labels("the dog", None) == [3, 2, 4]
    plain = Tokenizer("phone", ["<blank>", "<unk>", "a", "b"])
    assert get_task("pr", plain).labels("a b c", None) == [2, 3, 1]
    assert get_task("pr", plain).unknown("a b c", None) == ["c"]
