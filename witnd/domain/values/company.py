"""Read the fields that describe a seller or a buyer on a document. Stored texts have no leading or trailing spaces."""

import re
from collections.abc import Callable, Sequence
from typing import Any, Final

from witnd.domain.values.fields import MAX_KEY_LENGTH, Table, field_path, short_repr, text_problem
from witnd.domain.values.identifiers import MAX_TAX_ID_LENGTH, Invalid, compact_tax_id, country_problem
from witnd.domain.values.mistake import Mistake

#: Languages of documents.
LOCALES: Final = ("en", "de", "fr")
# More than any postal service allows.
MAX_ADDRESS_LINES: Final = 10
MAX_TERMS_DAYS: Final = 365
# The longest address that mail can carry (RFC 5321).
MAX_EMAIL_LENGTH: Final = 254
MAX_POSTAL_CODE_LENGTH: Final = 20

_EMAIL = re.compile(r"[^\s@]+@[^\s@]+")
# Neither a page nor XML 1.0 (2.2) can contain them.
_UNPRINTABLE = re.compile("[\x00-\x1f\x7f-\x9f\u2028\u2029\ufffe\uffff]")


def read_company(table: Table) -> dict[str, Any]:
    """Return the fields that sellers and buyers share, without absent ones. Adds errors to the table's mistakes."""
    read: dict[str, Any] = {
        "address": read_address(table),
        "postal_code": printed_text(table, "postal_code", longest=MAX_POSTAL_CODE_LENGTH),
        "city": printed_text(table, "city"),
        "country": _country(table),
        "tax_id": None,
        "email": read_email(table, "email"),
        "payment_terms_days": _terms_days(table),
        "locale": None if table.get("locale") is None else table.choice("locale", LOCALES),
    }
    tax_id = printed_text(table, "tax_id", longest=MAX_TAX_ID_LENGTH)
    if tax_id is not None and (read["country"] is not None or table.get("country") is None):
        country = read["country"]
        read["tax_id"] = compacted(table, "tax_id", tax_id, lambda text: compact_tax_id(text, country))
    return {name: value for name, value in read.items() if value is not None and value != []}


def printed_text(
    table: Table, name: str, *, longest: int = MAX_KEY_LENGTH, has_lines: bool = False, remedy: str = ""
) -> str | None:
    """Return text for a document, or None if it is absent or invalid. `has_lines`: it may have several lines. With a
    `remedy`, it is required."""
    value = table.required(name, remedy) if remedy else table.get(name)
    if value is None:
        return None
    text, problem = printed(value, longest, has_lines=has_lines)
    if problem is not None:
        table.refuse(name, problem)
        return None
    return text


def printed(value: object, longest: int, *, has_lines: bool = False) -> tuple[str, str | None]:
    """Return a text without leading and trailing spaces, and why a document cannot show it, if it cannot."""
    text = value.strip() if isinstance(value, str) else ""
    if has_lines:
        text = text.replace("\r\n", "\n")
    problem = text_problem(text if isinstance(value, str) else value, longest)
    if problem is None and _UNPRINTABLE.search(text.replace("\n", " ") if has_lines else text):
        kind = "a control character" if has_lines else "a line break or another control character"
        problem = f"contains {kind}; remove it"
    return text, problem


def read_address(table: Table) -> list[str]:
    """Return the lines of an address, empty if absent."""
    raw, path = table.get("address"), field_path(table.path, "address")
    if raw is None:
        return []
    if not isinstance(raw, Sequence) or isinstance(raw, str | bytes):
        example = 'write a list such as ["Hafenstraße 1", "2nd floor"]'
        table.refuse("address", f"must be a list of lines, got {short_repr(raw)}; {example}")
        return []
    if len(raw) > MAX_ADDRESS_LINES:
        table.refuse("address", f"has {len(raw)} lines; write at most {MAX_ADDRESS_LINES}")
        return []
    lines = [printed(line, MAX_KEY_LENGTH) for line in raw]
    table.mistakes += [
        Mistake(f"{path}[{index}]", problem) for index, (_, problem) in enumerate(lines) if problem is not None
    ]
    return [text for text, problem in lines if problem is None]


def read_email(table: Table, name: str) -> str | None:
    email = printed_text(table, name, longest=MAX_EMAIL_LENGTH)
    if email is not None and not _EMAIL.fullmatch(email):
        table.refuse(name, f"is {short_repr(email)}; write an address such as billing@acme.com")
    return email


def compacted(table: Table, name: str, text: str | None, compact: Callable[[str], str]) -> str | None:
    """Return an identifier in the form in which it is stored, or None if it is absent or invalid."""
    try:
        return None if text is None else compact(text)
    except Invalid as wrong:
        table.refuse(name, str(wrong))
        return None


def _country(table: Table) -> str | None:
    value = table.get("country")
    if value is None:
        return None
    problem = text_problem(value, MAX_KEY_LENGTH)
    if problem is None and isinstance(value, str):
        problem = country_problem(value)
    if problem is not None:
        table.refuse("country", problem)
        return None
    return str(value)


def _terms_days(table: Table) -> int | None:
    value = table.get("payment_terms_days")
    if value is None:
        return None
    is_whole = isinstance(value, int) or (isinstance(value, float) and value.is_integer())
    if isinstance(value, bool) or not is_whole or not isinstance(value, int | float):
        problem = f"is {short_repr(value)}; write whole days without quotes"
    elif not 0 <= value <= MAX_TERMS_DAYS:
        problem = f"is {short_repr(value)}; write 0 to {MAX_TERMS_DAYS} days"
    else:
        return int(value)
    table.refuse("payment_terms_days", problem)
    return None
