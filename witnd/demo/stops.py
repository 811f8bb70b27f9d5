"""How the demo is told to end: by its time, Ctrl-C, a signal, or a reader of its output that left."""

import asyncio
import contextlib
import signal
from collections.abc import Iterator


class Stops:
    """`asked`: no more events, let everything settle. `hurried`: do not wait for that either."""

    def __init__(self) -> None:
        self.asked = asyncio.Event()
        self.hurried = asyncio.Event()
        self._loop = asyncio.get_running_loop()
        self._task: asyncio.Task[object] | None = None

    @contextlib.contextmanager
    def listening(self) -> Iterator[None]:
        """Ctrl-C asks, then hurries, then cuts; SIGTERM and the end of the terminal hurry at once."""
        told = {signal.SIGINT: self._on_interrupt, signal.SIGTERM: self._on_terminate}
        # Under nohup the end of the terminal is meant to be no reason.
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
        """What runs inside may be cut by one signal more; what clears up after it may not."""
        self._task = asyncio.current_task()
        try:
            yield
        finally:
            self._task = None

    def hurry(self) -> None:
        self.asked.set()
        self.hurried.set()

    def reader_lost(self) -> None:
        """Nobody reads the account any more. From any thread, and at any time."""
        with contextlib.suppress(RuntimeError):  # the loop has ended before the thread
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
