"""Report the daemon's state to systemd (sd_notify)."""

import contextlib
import os
import socket
from collections.abc import Mapping


class Systemd:
    """Sends messages to systemd; without systemd they have no effect."""

    def __init__(self, environ: Mapping[str, str] = os.environ) -> None:
        address = environ.get("NOTIFY_SOCKET", "")
        self._address = "\0" + address[1:] if address.startswith("@") else address
        self.watchdog_seconds = _watchdog_seconds(environ)

    def ready(self, status: str) -> None:
        self._send("READY=1", _status(status))

    def status(self, text: str) -> None:
        self._send(_status(text))

    def watchdog(self) -> None:
        """Report that the event loop runs. Due every half of `watchdog_seconds`."""
        self._send("WATCHDOG=1")

    def extend(self, seconds: float) -> None:
        """Request more time to start or stop, counted from now."""
        self._send(f"EXTEND_TIMEOUT_USEC={int(seconds * 1_000_000)}")

    def stopping(self, status: str) -> None:
        self._send("STOPPING=1", _status(status))

    def _send(self, *lines: str) -> None:
        if not self._address:
            return
        with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as datagram:
            datagram.settimeout(0)
            # Errors are ignored, because messages must neither stop nor delay billing.
            with contextlib.suppress(OSError):
                datagram.sendto("\n".join(lines).encode(), self._address)


def _status(text: str) -> str:
    return "STATUS=" + " ".join(text.split())


def _watchdog_seconds(environ: Mapping[str, str]) -> float | None:
    """Return the watchdog interval, or None if systemd does not watch this process."""
    micros = environ.get("WATCHDOG_USEC", "")
    if not micros.isdigit() or environ.get("WATCHDOG_PID", str(os.getpid())) != str(os.getpid()):
        return None
    return int(micros) / 1_000_000
