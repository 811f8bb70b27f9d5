"""Requests to stop the demo: its duration, Ctrl-C, a signal, or a lost reader of its output."""

import asyncio
import contextlib
import signal
from collections.abc import Iterator


class Stops:
    """Stop requests. `asked`: send no more events and let everything settle. `hurried`: do not wait for that."""

    def __init__(self) -> None:
        self.asked = asyncio.Event()
        self.hurried = asyncio.Event()
        self._loop = asyncio.get_running_loop()
        self._task: asyncio.Task[object] | None = None

    @contextlib.contextmanager
    def listening(self) -> Iterator[None]:
        """Handle signals: Ctrl-C sets `asked`, then `hurried`, then cancels; SIGTERM and SIGHUP set `hurried`."""
        told = {signal.SIGINT: self._on_interrupt, signal.SIGTERM: self._on_terminate}
        # Under nohup, SIGHUP stays ignored.
        if signal.getsignal(signal.SIGHUP) is not signal.SIG_IGN:
            told[signal.SIGHUP] = self._on_terminate
        for number, handler in told.items():
            self._loop.add_signal_handler(number, handler)
        try:
            yield
        finally:
            for number in told:
                self._loop.remove_signal_handler(number)

    @contextlib.contextmanager
    def cuttable(self) -> Iterator[None]:
        """Allow another signal to cancel the body, but not the cleanup after it."""
        self._task = asyncio.current_task()
        try:
            yield
        finally:
            self._task = None

    def hurry(self) -> None:
        self.asked.set()
        self.hurried.set()

    def reader_lost(self) -> None:
        """Stop fast, because the reader of the output is gone. Thread-safe."""
        with contextlib.suppress(RuntimeError):  # the loop has ended
            self._loop.call_soon_threadsafe(self.hurry)

    def _on_interrupt(self) -> None:
        if self.asked.is_set():
            self._on_terminate()
        else:
            self.asked.set()

    def _on_terminate(self) -> None:
        if self.hurried.is_set() and self._task is not None:
            self._task.cancel()
        self.hurry()
