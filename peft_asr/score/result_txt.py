"""``result.txt``: the page that readers of sclite know, from our own alignments."""

import unicodedata
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

from peft_asr.score.errors import ErrorCounts, Step, percent

MOST_FREQUENT = 20
COLUMNS = {"word": "Wrd", "char": "Chr", "grapheme": "Grp", "phone": "Phn", "language": "Lng"}


@dataclass(frozen=True)
class Scored:
    """One utterance with its alignment."""

    utt_id: str
    speaker: str
    steps: list[Step]
    counts: ErrorCounts
    missing: bool
    lang: str | None = None


def render(scored: Sequence[Scored], unit: str, notes: Sequence[str]) -> str:
    """The whole page: notes, the table by speaker, frequent errors, every utterance with an error, worst first.

    Args:
        scored: U utterances.
        unit: what was counted; decides the column's name.
        notes: lines for the top (rate, interval, normaliser).
    """
    parts = [
        *notes,
        "",
        *_speaker_table(scored, unit),
        "",
        *_frequent(scored),
        *_alignments(scored),
    ]
    return "\n".join(parts) + "\n"


def _speaker_table(scored: Sequence[Scored], unit: str) -> list[str]:
    by_speaker: dict[str, ErrorCounts] = {}
    for item in scored:
        by_speaker[item.speaker] = by_speaker.get(item.speaker, ErrorCounts()) + item.counts
    total = sum(by_speaker.values(), ErrorCounts())
    name_width = max(len("Sum/Avg"), *map(display_width, by_speaker))
    rows = [_row(speaker, counts, name_width) for speaker, counts in by_speaker.items()]
    column = COLUMNS[unit]
    head = f"| {_pad('SPKR', name_width)} | {'# Snt':>6} {'# ' + column:>8} |"
    head += "".join(f" {name:>6}" for name in ("Corr", "Sub", "Del", "Ins", "Err", "S.Err")) + " |"
    inner = len(head) - 2
    line = f"|{'-' * inner}|"
    return [
        f",{'-' * inner}.",
        head,
        line,
        *rows,
        f"|{'=' * inner}|",
        _row("Sum/Avg", total, name_width),
        f"`{'-' * inner}'",
    ]


def _row(name: str, counts: ErrorCounts, name_width: int) -> str:
    shares = [
        percent(part, counts.ref) for part in (counts.cor, counts.sub, counts.del_, counts.ins, counts.errors)
    ]
    shares.append(percent(counts.wrong_sentences, counts.sentences))
    cells = "".join(f" {share:6.1f}" for share in shares)
    return f"| {_pad(name, name_width)} | {counts.sentences:6d} {counts.ref:8d} |{cells} |"


def _frequent(scored: Sequence[Scored]) -> list[str]:
    steps = [step for item in scored for step in item.steps]
    kinds = (
        (
            "Substitutions (reference -> hypothesis)",
            "S",
            lambda step: f"{_show(step.ref)} -> {_show(step.hyp)}",
        ),
        ("Deletions", "D", lambda step: _show(step.ref)),
        ("Insertions", "I", lambda step: _show(step.hyp)),
    )
    lines = []
    for title, op, label in kinds:
        counter = Counter(label(step) for step in steps if step.op == op)
        lines.append(f"{title}: {counter.total()} in all, {len(counter)} different")
        ranked = sorted(counter.items(), key=lambda entry: (-entry[1], entry[0]))
        lines += [f"{number:7d}  {name}" for name, number in ranked[:MOST_FREQUENT]]
        if len(ranked) > MOST_FREQUENT:
            lines.append(f"         and {len(ranked) - MOST_FREQUENT} more")
        lines.append("")
    return lines


def _alignments(scored: Sequence[Scored]) -> list[str]:
    wrong = sorted(
        (item for item in scored if item.counts.errors),
        key=lambda item: (-item.counts.errors, item.utt_id.encode()),
    )
    lines = [f"Utterances with errors: {len(wrong)} of {len(scored)}, most errors first", ""]
    for item in wrong:
        counts = item.counts
        lines.append(f"id: ({item.speaker}-{item.utt_id})" + (" no hypothesis" if item.missing else ""))
        lines.append(f"Scores: (#C #S #D #I) {counts.cor} {counts.sub} {counts.del_} {counts.ins}")
        lines += [*_aligned_lines(item.steps), ""]
    return lines


def _aligned_lines(steps: Sequence[Step]) -> list[str]:
    rows: tuple[list[str], list[str], list[str]] = (["REF: "], ["HYP: "], ["Eval:"])
    for step in steps:
        ref, hyp = _show(step.ref), _show(step.hyp)
        width = max(display_width(ref), display_width(hyp))
        # A gap is drawn as stars, as wide as what stands on the other side.
        cells = (ref or "*" * width, hyp or "*" * width, "" if step.op == "C" else step.op)
        for row, cell in zip(rows, cells, strict=True):
            row.append(_pad(cell, width))
    return [" ".join(row).rstrip() for row in rows]


def _show(unit: str | None) -> str:
    return "<space>" if unit == " " else unit or ""


def _pad(text: str, width: int) -> str:
    return text + " " * (width - display_width(text))


def display_width(text: str) -> int:
    """Columns that ``text`` takes in a terminal: wide East Asian characters two, combining marks none."""
    return sum(_columns(char) for char in text)


def _columns(char: str) -> int:
    if unicodedata.category(char) in ("Mn", "Me", "Cf"):
        return 0
    return 2 if unicodedata.east_asian_width(char) in "WF" else 1
