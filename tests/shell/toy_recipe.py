"""A recipe whose commands only note how they were called and leave what the real ones leave: the runner alone."""

import os
import shlex
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]

RUN = """#!/usr/bin/env bash
# A toy.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")"
. ./path.sh
option_files=("${root}/utils/recipe_options.sh")
. "${option_files[0]}"
upstream=toy_model  # of toys
hours=1             # of training data
lang=
. "${root}/utils/parse_options.sh"
. "${root}/utils/recipe.sh"
[ "${hours}" = 1 ] || data_tag=${hours}h
train_set=${train_set:-train}
valid_set=${valid_set:-dev}
test_sets=${test_sets:-test}
data_cmd=(local/data.sh)
data_inputs=()
run_recipe "$@"
"""

DATA = """#!/usr/bin/env bash
echo "data $*" >>calls
for set in train dev test; do
    mkdir -p data/${set}
    for name in wav.scp text utt2spk spk2utt; do echo "utt-1 ${set}" >data/${set}/${name}; done
    if [ -n "${LANGUAGES:-}" ]; then echo "utt-1 fra" >data/${set}/utt2lang; fi
done
${DATA_TAIL:-true}
"""

# `python3 -m peft_asr.bin.main COMMAND ...`; `python3 -c` is the real one.
PYTHON = """#!/usr/bin/env bash
if [ "$1" != -m ]; then
    case $1 in */results_table.py) echo "table $*" >>calls; exit 0 ;; esac
    exec REAL "$@"
fi
shift 2
printf '%q ' "$@" | sed 's/ $//' >>calls; echo >>calls
command=$1
while [ $# -gt 0 ]; do
    case $1 in --out|--exp|--data|--text) printf -v "${1#--}" %s "$2" ;; esac
    shift
done
if [ "${command}" = "${FAIL:-}" ]; then for i in {1..30}; do echo "line ${i}"; done; exit 3; fi
case ${command} in
    dump-audio)
        mkdir -p "${out}/flac"
        for name in wav.scp text; do [ -f "${out}/${name}" ] || cp "${data}/${name}" "${out}/${name}"; done
        if [ -f "${data}/utt2lang" ]; then cp -p "${data}/utt2lang" "${out}"; fi
        echo "{}" >"${out}/dump.jsonl" ;;
    tokens) mkdir -p "${out}"; [ -f "${out}/tokens.txt" ] || echo "<blank>" >"${out}/tokens.txt" ;;
    ngram) mkdir -p "$(dirname "${out}")"; echo "arpa of $(cat "${text}")" >"${out}" ;;
    train) mkdir -p "${exp}/adapter"; echo "{}" >"${exp}/adapter/adapter.json" ;;
    tune-decode) echo "decode: {}" >"${out}" ;;
    decode) mkdir -p "${out}"; echo "utt-1 x" >"${out}/text" ;;
    results) echo "# Results" >"${out}" ;;
esac
"""


class ToyRecipe:
    """``egs/toy`` below ``tree``; call it with options of run.sh."""

    def __init__(self, tree: Path):
        self.folder = tree / "egs" / "toy"
        for name in ("utils", "conf", "peft_asr", "tools"):
            (tree / name).symlink_to(ROOT / name)
        for part in ("local", "conf", "bin"):
            (self.folder / part).mkdir(parents=True)
        (self.folder / "conf" / "train.yaml").write_text("train: {}\n")
        (self.folder / "path.sh").write_text((ROOT / "egs" / "fsdd" / "path.sh").read_text())
        (self.folder / "local" / "path.sh").write_text("export PATH=${PWD}/bin:${PATH}\n")
        (self.folder / "db.sh").write_text("")
        (self.folder / "cmd.sh").write_text(". ${root}/utils/cmd_backend.sh\n")
        self.script("run.sh", RUN)
        self.script("local/data.sh", DATA)
        self.script("bin/python3", PYTHON.replace("REAL", shlex.quote(sys.executable)))
        self.calls_file = self.folder / "calls"

    def script(self, name: str, text: str) -> None:
        """Write an executable file of the recipe."""
        path = self.folder / name
        path.write_text(text)
        path.chmod(0o755)

    def __call__(self, *args: object, **environment: str) -> subprocess.CompletedProcess:
        """Run; ``calls`` then holds the commands of this run."""
        self.calls_file.write_text("")
        return subprocess.run(
            ["./run.sh", *map(str, args)],
            cwd=self.folder,
            capture_output=True,
            text=True,
            env=self.environment(**environment),
        )

    def environment(self, **more: str) -> dict[str, str]:
        """What run.sh runs in."""
        return {**os.environ, "VIRTUAL_ENV": "a shell's", **more}

    @property
    def calls(self) -> list[str]:
        """Commands of the last run, each one line, as the shell would quote them."""
        return self.calls_file.read_text().splitlines()

    def called(self, command: str) -> list[dict[str, str]]:
        """The options of each call of a command in the last run."""
        words = [shlex.split(line) for line in self.calls]
        return [
            {name[2:]: value for name, value in zip(call, call[1:], strict=False) if name.startswith("--")}
            for call in words
            if call[0] == command
        ]

    def files(self) -> list[str]:
        """All there is, but for the notes."""
        paths = (path for path in self.folder.rglob("*") if path.name != "calls")
        return sorted(str(path.relative_to(self.folder)) for path in paths)
