"""Whether the tree is the whole benchmark: its sources and the number of its languages."""

import sys
from pathlib import Path

from tree import CONF, Pair, read_conf

from peft_asr.errors import UserError

BENCHMARK_LANGUAGES = 143
NAMED = 6  # missing languages that a message names


def check_whole(corpus: Path, sources: list[str], there: list[Pair], allow_partial: bool) -> bool:
    """Whether parts are missing; say what was found of what was expected.

    Languages are counted in the benchmark's own sources alone: a further source stands in for none.

    Raises:
        UserError: sources or languages are missing and ``allow_partial`` is not set.
    """
    found = {pair.source for pair in there}
    languages = {pair.language for pair in there if pair.source in sources}
    absent = [source for source in sources if source not in found]
    missing = [f"sources {', '.join(absent)}"] if absent else []
    missing += missing_languages(languages)
    line = (
        f"found {len(sources) - len(absent)} of {len(sources)} sources and {len(languages)} of "
        f"{BENCHMARK_LANGUAGES} languages"
    )
    print(line)
    if missing and not allow_partial:
        raise UserError(
            f"{corpus} is not whole: {line}; missing: {'; '.join(missing)}; "
            "--allow_partial true takes what is there and marks the results"
        )
    if missing:
        print(f"warning: {corpus} is not whole; missing: {'; '.join(missing)}", file=sys.stderr)
    if others := sorted(found - set(sources)):
        print(f"sources that the benchmark does not have: {', '.join(others)}")
    return bool(missing)


def missing_languages(languages: set[str]) -> list[str]:
    """How many languages are missing, and the first of them whose codes are known; nothing if none is.

    We have no list of all codes of the benchmark, only those of its mono tracks and few-shot languages (conf/).
    """
    count = BENCHMARK_LANGUAGES - len(languages)
    if count <= 0:
        return []
    known = {row["language"] for name in ("tracks", "few_shot") for row in read_conf(CONF / f"{name}.tsv")}
    named = ", ".join(sorted(known - languages)[:NAMED])
    return [f"{count} languages{', among them ' if named else ''}{named}"]
