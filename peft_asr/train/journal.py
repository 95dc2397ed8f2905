"""What a run reports while it goes: the bar, the log lines, metrics.jsonl and tensorboard."""

import contextlib
import json
import logging
import math
import sys
from collections.abc import Iterator
from pathlib import Path

from torch.utils.tensorboard import SummaryWriter
from tqdm import tqdm
from tqdm.contrib.logging import logging_redirect_tqdm

from peft_asr.errors import UserError
from peft_asr.files import write_text
from peft_asr.train.progress import Progress
from peft_asr.train.validate import METRICS, metrics_text

logger = logging.getLogger(__name__)


class Journal:
    """Reports steps and validations; use as a context manager.

    Args:
        metrics_path: metrics.jsonl. It is rewritten from ``progress.history``, so a resumed run never repeats
            a record.
        tensorboard_dir: event files; what a killed run wrote there after the resumed step is purged.
        progress: of the run, read at every report.
        total_steps: of the whole run.
        log_every: steps between log lines.
    """

    def __init__(
        self,
        metrics_path: Path,
        tensorboard_dir: Path,
        progress: Progress,
        total_steps: int,
        log_every: int,
    ):
        self.metrics_path = metrics_path
        self.tensorboard_dir = tensorboard_dir
        self.progress = progress
        self.total_steps = total_steps
        self.log_every = log_every
        self._stack = contextlib.ExitStack()

    def __enter__(self) -> "Journal":
        self._write_metrics()
        with self._disk_errors():
            self.board = SummaryWriter(self.tensorboard_dir, purge_step=self.progress.step + 1)
        self.bar = tqdm(
            total=self.total_steps,
            initial=self.progress.step,
            disable=not sys.stderr.isatty(),
            bar_format="{percentage:3.0f}%|{bar:20}| {n_fmt}/{total_fmt} steps{postfix}",
        )
        if not self.bar.disable:
            self._stack.enter_context(logging_redirect_tqdm())
        return self

    def __exit__(self, *exc_info) -> None:
        self.bar.close()
        self._stack.close()
        # A disk that is full now was full at the last report too, and that one has spoken.
        with contextlib.suppress(OSError):
            self.board.close()

    def step(self, loss: float, rates: dict[str, float], grad_norm: float) -> None:
        """Report the training step that ``progress.step`` counts as done."""
        p = self.progress
        dev = "-"
        if p.history:
            name = next(name for name in METRICS if name in p.history[-1])
            dev = f"{METRICS[name]} {p.history[-1][name]:.1f} %"
        left = readable_time(self._seconds_left())
        shown = f"loss {loss:.3f}, dev {dev}, {p.speech_per_s:.0f} s of speech/s, {left} left"
        self.bar.set_postfix_str(shown, refresh=False)
        self.bar.update(p.step - self.bar.n)
        if p.step % self.log_every and p.step != self.total_steps:
            return
        logger.info(
            "step %d/%d, epoch %d, loss %.4f, dev %s, lr %s, %.1f seconds of speech per second, %s left",
            p.step,
            self.total_steps,
            p.current_epoch,
            loss,
            dev,
            ", ".join(f"{name} {rate:.2e}" for name, rate in rates.items()),
            p.speech_per_s,
            left,
        )
        with self._disk_errors():
            self.board.add_scalar("train/loss", loss, p.step)
            self.board.add_scalar("train/grad_norm", grad_norm, p.step)
            for name, rate in rates.items():
                self.board.add_scalar(f"lr/{name}", rate, p.step)

    def validation(self, record: dict, example: tuple[str, str, str]) -> None:
        """Report a validation; its record is already the last of ``progress.history``."""
        blank = record["blank_share"]
        logger.info(
            "validation at step %d: loss %.4f, %s%s, %.1f s",
            record["step"],
            record["valid_loss"],
            metrics_text(record),
            "" if blank is None else f", {100 * blank:.1f} % blank frames",
            record["valid_s"],
        )
        logger.info('validation at step %d: %s is "%s", heard as "%s"', record["step"], *example)
        self._write_metrics()
        with self._disk_errors():
            for name in ("valid_loss", *METRICS, "blank_share"):
                if record.get(name) is not None:
                    self.board.add_scalar(f"valid/{name}", record[name], record["step"])
            self.board.flush()

    def _seconds_left(self) -> float:
        p = self.progress
        steps = self.total_steps - p.step
        training = steps * p.train_s / max(p.step, 1)
        if len(p.history) < 1:
            return training
        # Validations come at the pace they came so far.
        return training + steps / max(p.history[-1]["step"], 1) * sum(r["valid_s"] for r in p.history)

    def _write_metrics(self) -> None:
        lines = [
            json.dumps({k: _json_number(v) for k, v in record.items()}) for record in self.progress.history
        ]
        write_text(self.metrics_path, "".join(line + "\n" for line in lines))

    @contextlib.contextmanager
    def _disk_errors(self) -> Iterator[None]:
        try:
            yield
        except OSError as err:
            raise UserError(f"cannot write to {self.tensorboard_dir}: {err.strerror or err}") from err


class SilentJournal(Journal):
    """Reports nothing: that of every process but the first."""

    def __enter__(self) -> "SilentJournal":
        return self

    def __exit__(self, *exc_info) -> None:
        pass

    def step(self, loss: float, rates: dict[str, float], grad_norm: float) -> None:
        pass

    def validation(self, record: dict, example: tuple[str, str, str]) -> None:
        pass


def _json_number(value: float | int | str) -> float | int | str | None:
    """JSON knows neither NaN nor infinity."""
    return None if isinstance(value, float) and not math.isfinite(value) else value


def readable_time(seconds: float) -> str:
    """``42 s``, ``3 min 20 s``, ``2 h 05 min``."""
    whole = round(seconds)
    if whole < 60:
        return f"{whole} s"
    if whole < 3600:
        return f"{whole // 60} min {whole % 60:02d} s"
    return f"{whole // 3600} h {whole % 3600 // 60:02d} min"
