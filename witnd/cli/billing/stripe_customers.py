"""Read the file of Stripe customer ids: CSV with two columns, or one JSON object."""

import csv
import io
import json
import re
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Final

from witnd.cli.console.failure import refuse

_ID: Final = re.compile(r"cus_[A-Za-z0-9]+", re.ASCII)
_EXAMPLE: Final = "write one customer a line, such as acme,cus_Q4rT8vXkLm2N"
# What the columns may be called in a first line, without case, spaces and signs. Any other first line is a customer.
_KEY_NAMES: Final = frozenset(("key", "customer", "customerkey", "witnd", "witndcustomer"))
_ID_NAMES: Final = frozenset(("id", "stripe", "stripeid", "stripecustomer", "stripecustomerid", "customerid", "cus"))
# A hundred bytes a customer, and more customers than anybody has.
_LARGEST_FILE: Final = 64 << 20
_COLUMNS: Final = 2


def read_stripe_customers(path: Path) -> dict[str, str]:
    """Return the Stripe id of each customer key. Exit with the wrong line if there is one."""
    raw = path.read_bytes()
    if len(raw) > _LARGEST_FILE:
        refuse(f"{path} is larger than {_LARGEST_FILE >> 20} MiB; {_EXAMPLE}")
    try:
        text = raw.decode("utf-8-sig")
    except UnicodeDecodeError as wrong:
        refuse(f"{path} is not UTF-8 text (at byte {wrong.start}); save it as UTF-8")
    pairs = _from_json(path, text) if text.lstrip().startswith("{") else _from_csv(path, text)
    return _unique(path, pairs)


def _from_json(path: Path, text: str) -> Iterator[tuple[str, str, str]]:
    remedy = 'write {"acme": "cus_Q4rT8vXkLm2N", …}'
    try:
        # As pairs, because a member that comes twice must be noticed.
        found = json.loads(text, object_pairs_hook=list)
    except (ValueError, RecursionError) as wrong:
        refuse(f"{path} is not valid JSON: {wrong}; {remedy}")
    for key, id_ in found:
        if not isinstance(id_, str):
            refuse(f"{path}: member {key!r} is not a string; {remedy}")
        yield key, id_, f"member {key!r}"


def _from_csv(path: Path, text: str) -> Iterator[tuple[str, str, str]]:
    reader = csv.reader(io.StringIO(text, newline=""), strict=True)
    for number, cells in enumerate(_records(path, reader), 1):
        if not cells:
            continue
        where = f"line {reader.line_num}"
        if len(cells) != _COLUMNS:
            refuse(f"{path}: {where} has {len(cells)} columns; {_EXAMPLE}")
        if number == 1 and _name(cells[0]) in _KEY_NAMES and _name(cells[1]) in _ID_NAMES:
            continue
        yield cells[0], cells[1].strip(), where


def _name(cell: str) -> str:
    return "".join([one for one in cell.lower() if one.isascii() and one.isalpha()])


def _records(path: Path, reader: Iterator[list[str]]) -> Iterator[list[str]]:
    try:
        yield from reader
    except csv.Error as wrong:
        refuse(f"{path} is not valid CSV: {wrong}; {_EXAMPLE}")


def _unique(path: Path, pairs: Iterable[tuple[str, str, str]]) -> dict[str, str]:
    found: dict[str, str] = {}
    for key, id_, where in pairs:
        if not _ID.fullmatch(id_):
            refuse(f"{path}: {where}: {id_!r} is not a Stripe customer id; {_EXAMPLE}")
        if found.setdefault(key, id_) != id_:
            refuse(f"{path}: {where}: customer {key!r} must not be repeated with another id")
    return found
