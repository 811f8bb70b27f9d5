"""Reload the configuration on SIGHUP; log and ignore SIGUSR1, SIGUSR2 and SIGQUIT.

Only the log format changes without a restart. The log lists all other changes as not in effect.
"""

import asyncio
import signal
from collections.abc import Callable, Iterator
from typing import Final

import structlog

from witnd.config import Config, ConfigError

IGNORED: Final = (signal.SIGUSR1, signal.SIGUSR2, signal.SIGQUIT)
_SECTIONS: Final = ("redis", "http", "webhooks", "billing", "daemon")
_WITHOUT_RESTART: Final = frozenset(("daemon.log_format",))

log = structlog.get_logger()


class Reload:
    """Handles SIGHUP. `read` returns the current configuration; `apply` applies settings that need no restart."""

    def __init__(self, config: Config, read: Callable[[], Config], apply: Callable[[Config], None]) -> None:
        self._running = config  # for settings that need a restart
        self._log_format = config.daemon.log_format
        self._read = read
        self._apply = apply

    def install(self, loop: asyncio.AbstractEventLoop) -> None:
        loop.add_signal_handler(signal.SIGHUP, self.reload)
        for number in IGNORED:
            loop.add_signal_handler(number, _ignore, number)

    def reload(self) -> None:
        """Keep the old configuration if the new one has mistakes, and log all of them."""
        try:
            new = self._read()
        except ConfigError as wrong:
            log.error(
                "config.rejected", mistakes=list(map(str, wrong.mistakes)), remedy="correct it, then reload again"
            )
            return
        names = list(different(self._running, new))
        reloaded = [] if new.daemon.log_format == self._log_format else ["daemon.log_format"]
        if reloaded:
            self._apply(new)
            self._log_format = new.daemon.log_format
        needs_restart = [name for name in names if name not in _WITHOUT_RESTART]
        log.info("config.reloaded", reloaded=reloaded, needs_restart=needs_restart)


def different(old: Config, new: Config) -> Iterator[str]:
    """Yield the names of settings that differ."""
    for section in _SECTIONS:
        before, after = getattr(old, section), getattr(new, section)
        for name in before.__struct_fields__:
            if getattr(before, name) != getattr(after, name):
                yield f"{section}.{name}"


def _ignore(number: signal.Signals) -> None:
    log.info("signal.ignored", signal=signal.Signals(number).name)
