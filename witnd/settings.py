"""Readers of single settings: they validate a value from TOML or the environment.

A reader raises ValueError with the problem and the remedy; `config` adds the name of the setting.
"""

import json
import math
import re
import socket
from collections.abc import Callable, Mapping
from ipaddress import IPv4Network, IPv6Network, ip_network
from pathlib import Path
from typing import Any, NamedTuple
from urllib.parse import urlsplit

from witnd.domain.values.fields import short_repr
from witnd.domain.values.period import KINDS
from witnd.endpoint import endpoint
from witnd.zone_data import check_zone

Network = IPv4Network | IPv6Network

MOST_PARTITIONS = 1024
MOST_STEPS = 50
LONGEST_SECONDS = 366 * 86400.0
_UNITS = {"ms": 0.001, "s": 1, "m": 60, "h": 3600, "d": 86400}
_DURATION = re.compile(r"([0-9]+(?:\.[0-9]+)?)(ms|s|m|h|d)", re.ASCII)
_SERIES = re.compile(r"[A-Z][A-Z0-9-]{0,15}", re.ASCII)
_BLANK_OR_CONTROL = re.compile(r"[\x00-\x20\x7f]")
_NAME = re.compile(r"[A-Za-z0-9._-]{1,64}", re.ASCII)


class Address(NamedTuple):
    """An address to listen on. Port 0 means any free port."""

    host: str
    port: int

    def __str__(self) -> str:
        return f"[{self.host}]:{self.port}" if ":" in self.host else f"{self.host}:{self.port}"


class Durability(NamedTuple):
    """When an event counts as accepted: `server`, `fsync`, or `replica` with a number of replicas."""

    mode: str
    replicas: int = 0

    def __str__(self) -> str:
        return f"{self.mode}:{self.replicas}" if self.mode == "replica" else self.mode


class Reader(NamedTuple):
    """A reader of a setting. `read` validates a TOML value; `unpack` converts the text of an environment variable."""

    read: Callable[[object], Any]
    unpack: Callable[[str], object] = str


def host_name() -> str:
    """Return the name of this machine, in the characters that an instance name allows."""
    return re.sub(r"[^A-Za-z0-9._-]", "-", socket.gethostname())[:64] or "witnd"


def _text(value: object) -> str:
    if not isinstance(value, str):
        raise ValueError(f"must be text, got {short_repr(value)}; write it in quotes")
    return value


def _url(value: object) -> str:
    text = _text(value)
    try:
        endpoint(text)
    except ValueError as error:  # without the value, which may have a password
        raise ValueError(f"is not a usable Redis address: it {error}") from error
    return text


def _password_file(value: object) -> str:
    text = _text(value)
    name = text.removeprefix("credential:")
    if name != text and ("/" in name or not name):
        raise ValueError('must be "credential:" and the name of a systemd credential')
    if text and name == text and not Path(text).is_absolute():
        raise ValueError(f"is {short_repr(text)}; write an absolute path or credential:NAME")
    return text


def _absolute(value: object) -> str:
    text = _text(value)
    if text and not Path(text).is_absolute():
        raise ValueError(f"is {short_repr(text)}; write an absolute path")
    return text


def _name(value: object) -> str:
    text = _text(value)
    if _NAME.fullmatch(text) is None:
        raise ValueError(f"is {short_repr(text)}; use 1 to 64 of a-z, A-Z, 0-9, dot, dash and underscore")
    return text


def _instance(value: object) -> str:
    return host_name() if value == "" else _name(value)


def _one_of(*choices: str) -> Callable[[object], str]:
    def read(value: object) -> str:
        if value not in choices:
            raise ValueError(f"is {short_repr(value)}; must be one of {', '.join(choices)}")
        return str(value)

    return read


def _flag(value: object) -> bool:
    if not isinstance(value, bool):
        raise ValueError(f"is {short_repr(value)}; write true or false without quotes")
    return value


def _flag_text(text: str) -> object:
    return {"true": True, "false": False}.get(text.lower(), text)


def _series(value: object) -> str:
    text = _text(value)
    if text.count("{year}") > 1 or _SERIES.fullmatch(text.replace("{year}", "2026")) is None:
        raise ValueError(
            f"is {short_repr(text)}; use 1 to 16 of A-Z, 0-9 and dash, starting with a letter; "
            "{year} is the year, and counts as 4"
        )
    return text


def _time_zone(value: object) -> str:
    return check_zone(_text(value))


def _whole(least: int, most: int) -> Callable[[object], int]:
    def read(value: object) -> int:
        if not isinstance(value, int) or isinstance(value, bool):
            raise ValueError(f"must be a whole number, got {short_repr(value)}")
        if not least <= value <= most:
            raise ValueError(f"is {short_repr(value)}; must be between {least} and {most}")
        return value

    return read


def _duration(least: float, most: float = LONGEST_SECONDS) -> Callable[[object], float]:
    def read(value: object) -> float:
        form = _DURATION.fullmatch(value) if isinstance(value, str) else None
        if form is not None:
            value = float(form[1]) * _UNITS[form[2]]
        if not isinstance(value, int | float) or isinstance(value, bool) or math.isnan(value):
            raise ValueError(f'is {short_repr(value)}; write seconds as a number, or "90s", "15m", "24h", "7d"')
        if not least <= value <= most:
            raise ValueError(f"is {value:g} s; must be between {least:g} and {most:g} s")
        return value

    return read


def _durability(value: object) -> Durability:
    mode, colon, count = _text(value).partition(":")
    if mode in ("server", "fsync") and not colon:
        return Durability(mode)
    if mode == "replica" and not colon:
        return Durability(mode, 1)
    if mode == "replica" and re.fullmatch("[1-9]", count):
        return Durability(mode, int(count))
    raise ValueError(f"is {short_repr(value)}; must be one of server, fsync, replica, replica:2 (to 9)")


def _bind(value: object) -> Address | None:
    if value == "none":
        return None
    host, _, port = _text(value).rpartition(":")
    bare = host[1:-1] if host.startswith("[") and host.endswith("]") else host
    number = int(port) if re.fullmatch("[0-9]{1,5}", port) else -1
    if not bare or not 0 <= number <= 65535 or (":" in bare and bare == host):
        raise ValueError(f"is {short_repr(value)}; write host:port, such as 127.0.0.1:8700 or [::1]:8700, or none")
    return Address(bare, number)


def _public_url(value: object) -> str:
    text = _text(value)
    if not text:
        return text
    problem = ValueError(f"is {short_repr(text)}; write the address of the dashboard, such as https://billing.acme.com")
    try:
        parts = urlsplit(text)
        if parts.port == 0:
            raise problem
    except ValueError:
        raise problem from None
    if parts.scheme not in ("http", "https") or not parts.hostname or "@" in parts.netloc:
        raise problem
    if parts.query or parts.fragment or _BLANK_OR_CONTROL.search(text):
        raise problem
    return text.rstrip("/")


def _list_of(read: Callable[[object], Any], least: int, most: int) -> Callable[[object], tuple[Any, ...]]:
    def read_all(value: object) -> tuple[Any, ...]:
        if not isinstance(value, list):
            raise ValueError(f"must be a list, got {short_repr(value)}; write it in brackets")
        if not least <= len(value) <= most:
            raise ValueError(f"has {len(value)} items; must have {least} to {most}")
        items, wrong = [], []
        for number, item in enumerate(value):
            try:
                items.append(read(item))
            except ValueError as error:
                wrong.append(f"item {number} {error}")
        if wrong:
            raise ValueError("; ".join(wrong))
        return tuple(items)

    return read_all


def _network(value: object) -> Network:
    try:
        return ip_network(_text(value))
    except ValueError as wrong:
        raise ValueError(
            f"is {short_repr(value)}; write a network such as 10.1.0.0/16 or fd00::/8, without host bits"
        ) from wrong


def _number(text: str) -> object:
    """Return the number in a text; else the text, which the reader then refuses."""
    for kind in (int, float):
        try:
            return kind(text)
        except ValueError:
            continue
    return text


def _items(text: str) -> object:
    """Return the items of a JSON list, or of a list with commas."""
    if text.lstrip().startswith("["):
        try:
            return json.loads(text)
        except ValueError as wrong:
            raise ValueError(f"is not a JSON list ({wrong}); write [1, 2] or 1,2") from wrong
    return [_number(item.strip()) for item in text.split(",") if item.strip()]


READERS: Mapping[str, Mapping[str, Reader]] = {
    "redis": {
        "url": Reader(_url),
        "password_file": Reader(_password_file),
        "sentinel_username": Reader(_text),
        "sentinel_password_file": Reader(_password_file),
        "sentinel_tls": Reader(_flag, _flag_text),
        "prefix": Reader(_name),
        "partitions": Reader(_whole(1, MOST_PARTITIONS), _number),
        "durability": Reader(_durability),
    },
    "http": {
        "bind": Reader(_bind),
        "max_lag": Reader(_whole(0, 1_000_000_000), _number),
        "connections_max": Reader(_whole(0, 1_000_000), _number),
        "public_url": Reader(_public_url),
    },
    "webhooks": {
        "allow_networks": Reader(_list_of(_network, 0, 1000), _items),
        "ca_file": Reader(_absolute),
        "schedule": Reader(_list_of(_duration(0.001), 1, MOST_STEPS), _items),
    },
    "billing": {
        "period": Reader(_one_of(*KINDS)),
        "time_zone": Reader(_time_zone),
        "grace": Reader(_duration(0), _number),
        "issue": Reader(_one_of("auto", "manual")),
        "zero_invoices": Reader(_flag, _flag_text),
        "series": Reader(_series),
        "first_number": Reader(_whole(1, 999_999_999), _number),
        "credit_series": Reader(_series),
        "first_credit_number": Reader(_whole(1, 999_999_999), _number),
    },
    "daemon": {
        "state_dir": Reader(_text),
        "instance": Reader(_instance),
        # With a shorter lease, a busy machine loses it under load; with a longer one, a takeover takes too long.
        "lease": Reader(_duration(0.5, 300), _number),
        "actors_in_memory": Reader(_whole(1, 10_000_000), _number),
        # One commit writes a batch; a larger one keeps the server busy for too long.
        "batch": Reader(_whole(1, 10_000), _number),
        "log_format": Reader(_one_of("auto", "json", "console")),
    },
}
