"""Signals that ask a run to stop: it finishes nothing, loses nothing, and says how to go on."""

import signal
import threading
from types import FrameType


class Interrupted(Exception):
    """The run stopped because a signal asked it to; its message says where it can be taken up again."""

    def __init__(self, signum: int, message: str):
        super().__init__(message)
        self.signum = signum


class StopSignals:
    """``with StopSignals() as stop:`` notes Ctrl-C, SIGTERM and SIGUSR1 in ``stop.requested``.

    The loop looks there between batches. A second Ctrl-C acts at once, as it would have before. A second SIGTERM or
    SIGUSR1 changes nothing: a scheduler sends its signal to every process of a job, more than once, shells and
    launchers pass on what they got, and SIGKILL follows anyway. Signals that the parent process has set to be ignored
    stay ignored.
    """

    WATCHED = (signal.SIGINT, signal.SIGTERM, signal.SIGUSR1)

    def __init__(self):
        self.requested: int | None = None
        self._previous: dict[int, object] = {}

    def __enter__(self) -> "StopSignals":
        # Python allows handlers in the main thread only; elsewhere signals keep their meaning.
        if threading.current_thread() is threading.main_thread():
            for number in self.WATCHED:
                if signal.getsignal(number) not in (signal.SIG_IGN, None):
                    self._previous[number] = signal.signal(number, self._note)
        return self

    def __exit__(self, *exc_info) -> None:
        for number, handler in self._previous.items():
            signal.signal(number, handler)

    def _note(self, number: int, frame: FrameType | None) -> None:
        self.requested = number
        if number == signal.SIGINT:
            signal.signal(number, self._previous[number])
        # Schedulers signal whole process groups. When data workers die of that, torch raises from its SIGCHLD
        # handler, wherever the program is by then; the loop finds it out by itself where it can deal with it.
        if signal.SIGCHLD not in self._previous:
            self._previous[signal.SIGCHLD] = signal.signal(signal.SIGCHLD, lambda number, frame: None)
