"""Read facts about this host: clock synchronisation, properties of the systemd unit, HTTP responses.

Each read takes a few seconds at most. Unknown facts are None.
"""

import ctypes
import http.client
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Mapping
from typing import Final

import msgspec
from msgspec import Struct

from witnd.settings import Address

UNIT: Final = "witnd.service"
SECONDS: Final = 3.0
MAX_RESPONSE_BYTES: Final = 1 << 20
PROPERTIES: Final = (
    "LoadState", "ActiveState", "SubState", "UnitFileState", "Result", "StatusText", "NRestarts", "Type", "Restart",
    "TimeoutStopUSec", "WatchdogUSec", "LimitNOFILE", "StateDirectory", "LoadCredential", "LoadCredentialEncrypted",
    "SetCredential", "ImportCredential", "MemoryMax", "MemoryHigh", "ExecStart", "Environment",
)  # fmt: skip

_ANYWHERE: Final = {"0.0.0.0": "127.0.0.1", "::": "::1"}  # noqa: S104 - listened on, not by us
_UNSYNCHRONISED: Final = 0x0040  # STA_UNSYNC of <sys/timex.h>
_UNITS: Final = {"us": 1e-6, "ms": 1e-3, "s": 1, "min": 60, "h": 3600, "d": 86_400, "w": 604_800}
_LENGTH: Final = re.compile(r"([0-9.]+)(us|ms|s|min|h|d|w)")


class _Timex(ctypes.Structure):
    """The first fields of the kernel's struct, with room for the rest."""

    _fields_ = (
        ("modes", ctypes.c_uint),
        ("offset", ctypes.c_long),
        ("freq", ctypes.c_long),
        ("maxerror", ctypes.c_long),
        ("esterror", ctypes.c_long),
        ("status", ctypes.c_int),
        ("rest", ctypes.c_char * 512),
    )


class Answer(Struct, frozen=True, kw_only=True):
    """A response; `body` is None if it is not a JSON object."""

    status: int
    body: dict[str, object] | None


def is_clock_synchronised() -> bool | None:
    """Return whether the kernel considers its clock synchronised, None if unknown."""
    if sys.platform != "linux":
        return None
    told = _Timex()  # modes 0: nothing is set
    try:
        if ctypes.CDLL(None, use_errno=True).adjtimex(ctypes.byref(told)) < 0:
            return None
    except (OSError, AttributeError):
        return None
    return not told.status & _UNSYNCHRONISED


def unit() -> Mapping[str, str] | None:
    """Return the properties of the unit, None if systemd does not respond."""
    program = shutil.which("systemctl")
    if program is None:
        return None
    names = [word for name in PROPERTIES for word in ("-p", name)]
    try:
        done = subprocess.run(
            [program, "show", UNIT, "--no-pager", *names],
            capture_output=True,
            timeout=SECONDS,
            check=False,
            env=os.environ | {"LC_ALL": "C"},
        )
    except (OSError, subprocess.TimeoutExpired):
        return None
    lines = done.stdout.decode(errors="replace").splitlines()
    found = {name: value for name, _, value in (line.partition("=") for line in lines)}
    return found if done.returncode == 0 and found.get("LoadState") else None


def seconds(text: str) -> float | None:
    """Parse a duration in the format of systemd; None for "infinity" and anything else that is not a number."""
    if text.isdigit():
        return int(text) / 1_000_000
    parts = [_LENGTH.fullmatch(part) for part in text.split()]
    if not parts or None in parts:
        return None
    return sum(float(part[1]) * _UNITS[part[2]] for part in parts if part is not None)


def memory() -> int | None:
    """Return the memory of this host in bytes."""
    try:
        return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    except (OSError, ValueError):
        return None


def get(address: Address, path: str) -> Answer | str:
    """Return the response at a bind address, or the reason why there is none."""
    connection = http.client.HTTPConnection(_ANYWHERE.get(address.host, address.host), address.port, timeout=SECONDS)
    try:
        connection.request("GET", path)
        answer = connection.getresponse()
        raw = answer.read(MAX_RESPONSE_BYTES)
    except (OSError, http.client.HTTPException) as failed:
        return getattr(failed, "strerror", None) or str(failed) or type(failed).__name__
    finally:
        connection.close()
    try:
        return Answer(status=answer.status, body=msgspec.json.decode(raw, type=dict[str, object]))
    except msgspec.MsgspecError:
        return Answer(status=answer.status, body=None)
