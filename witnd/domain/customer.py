"""Customers: who is billed, and by which rate card."""

import re
from collections.abc import Mapping
from typing import Any

from msgspec import Struct

from witnd.domain.fields import Table, described
from witnd.domain.mistake import Mistake

FIELDS = ("name", "email", "rate_card")
# The longest address that mail can carry (RFC 5321).
LONGEST_EMAIL = 254

_EMAIL = re.compile(r"[^\s@]+@[^\s@]+")


class Customer(Struct, frozen=True, kw_only=True):
    """One version of a customer. Archiving only hides it: its events still open outcomes."""

    key: str
    name: str
    email: str | None = None
    rate_card: str | None = None
    archived: bool = False

    @classmethod
    def from_content(cls, key: str, content: Mapping[str, Any], *, archived: bool = False) -> "Customer":
        return cls(key=key, archived=archived, **{name: content[name] for name in FIELDS})


def read_customer(key: str, raw: object, path: str) -> tuple[dict[str, Any], list[Mistake]]:
    """The canonical content of a customer as a person wrote it, and everything wrong with it."""
    table = Table(raw, path, FIELDS)
    name = table.text("name", default=key)
    email = table.optional_text("email", longest=LONGEST_EMAIL)
    if email is not None and not _EMAIL.fullmatch(email):
        table.refuse("email", f"is {described(email)}; write an address such as billing@acme.com")
    rate_card = table.optional_text("rate_card")
    return {"name": name, "email": email, "rate_card": rate_card}, table.mistakes
