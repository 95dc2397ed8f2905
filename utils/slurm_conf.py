"""The grammar of Kaldi's conf/slurm.conf: which options of sbatch an option of slurm.pl stands for.

    command sbatch --account me      what submits a job; the line must be there
    option mem=* --mem $0            --mem 4G of slurm.pl becomes --mem 4G of sbatch
    option gpu=0                     this value exactly, which wins over gpu=*; here it becomes nothing
    default gpu=0                    as if --gpu 0 had been given where --gpu is not
    # comment

Options stand behind the command in the order in which slurm.pl got them, those of ``default`` lines first: where
two lines set the same option of sbatch, what the user wrote wins.
"""

import re
import shlex
from pathlib import Path

_OPTION = re.compile(r"option\s+([^=\s]+)=(\S+)(?:\s+(.*))?$")
_DEFAULT = re.compile(r"default\s+([^=\s]+)=(\S+)$")


class ConfError(Exception):
    """The file, or an option that it does not describe; the message is one sentence."""


class SlurmConf:
    """A file that has been read.

    Args:
        path: a conf/slurm.conf.

    Raises:
        ConfError: it cannot be read, has a line that is none of the three, or no ``command``.
    """

    def __init__(self, path: Path):
        self.path = path
        self.command: list[str] = []
        self.defaults: dict[str, str] = {}
        self._options: dict[tuple[str, str], str] = {}
        try:
            lines = path.read_text(encoding="utf-8").splitlines()
        except (OSError, UnicodeDecodeError) as err:
            raise ConfError(
                f"cannot read {path} (--config): {getattr(err, 'strerror', None) or err}"
            ) from err
        for number, written in enumerate(lines, 1):
            line = re.sub(r"(^|\s+)#.*", "", written).strip()
            if not line:
                continue
            kind, _, rest = line.partition(" ")
            if kind == "command" and rest.strip():
                self.command = shlex.split(rest)
            elif option := _OPTION.match(line):
                self._options[option[1], option[2]] = option[3] or ""
            elif default := _DEFAULT.match(line):
                self.defaults[default[1]] = default[2]
            else:
                raise ConfError(
                    f"{path}, line {number}: '{written.strip()}' is not understood; a line is 'command sbatch ...', "
                    "'option NAME=VALUE ...' or 'default NAME=VALUE'"
                )
        if not self.command:
            raise ConfError(f"{path} has no line 'command sbatch ...'")

    def arguments(self, given: dict[str, str]) -> list[str]:
        """What ``command`` is to be followed by.

        Args:
            given: name (with ``_`` for ``-``) -> value, in the order of the command line.

        Raises:
            ConfError: no line describes one of them.
        """
        words = []
        for name, value in {**{k: v for k, v in self.defaults.items() if k not in given}, **given}.items():
            text = self._options.get((name, value), self._options.get((name, "*")))
            if text is None:
                dashed = name.replace("_", "-")
                raise ConfError(
                    f"{self.path} has no line for --{dashed} {value}; add 'option {name}=* ...' there, "
                    f"described so far: {', '.join(sorted({known for known, _ in self._options})) or 'none'}"
                )
            words += shlex.split(text.replace("$0", value))
        return words
