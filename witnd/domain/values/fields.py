"""Read the fields of a table from user input and collect every error.

Nothing here raises: an invalid field returns a placeholder and adds a mistake.
"""

from collections.abc import Collection, Mapping, Sequence
from difflib import get_close_matches

from witnd.domain.values.mistake import Mistake

# Code of a mistake: a required field is absent.
MISSING = "missing"
# The limit of event fields, so that every key can be sent in an event.
MAX_KEY_LENGTH = 255
_MAX_SHOWN = 40
# Comparing more names would stop the daemon's other work for longer than a tenth of a second.
_MAX_COMPARED = 1000


def short_repr(value: object) -> str:
    """Return the value as a short phrase for a message."""
    if value is None:
        return "nothing"
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, str):
        shown = value if len(value) <= _MAX_SHOWN else value[:_MAX_SHOWN] + "…"
        # A terminal could interpret characters that are not printable.
        return '"' + "".join([c if c.isprintable() else f"\\u{ord(c):04x}" for c in shown]) + '"'
    if isinstance(value, int | float):
        return "a very large number" if _is_huge(value) else repr(value)
    if isinstance(value, Mapping):
        return "a table"
    if isinstance(value, Sequence):
        return "a list"
    return f"a {type(value).__name__}"


def _is_huge(value: float) -> bool:
    return isinstance(value, int) and abs(value) >= 10**18


def whole_number(value: object) -> int | None:
    """Return a whole number, which JSON may write as a float, or None for any other value."""
    if isinstance(value, bool) or not isinstance(value, int | float):
        return None
    return int(value) if isinstance(value, int) or value.is_integer() else None


def field_path(path: str, name: str) -> str:
    """Return the path of field `name` in the table at `path`."""
    return f"{path}.{name}" if path else name


def text_problem(value: object, longest: int) -> str | None:
    """Return why the value is not text of 1 to `longest` characters, or None."""
    if not isinstance(value, str):
        return f"must be text, got {short_repr(value)}; write it in quotes"
    if not value:
        return f"is empty; write 1 to {longest} characters"
    if len(value) > longest:
        return f"has {len(value)} characters; shorten it to at most {longest}"
    try:
        value.encode()
    except UnicodeEncodeError:
        return "contains an unpaired surrogate, which is not valid UTF-8; remove it"
    return None


def similar_name(name: str, known: Collection[str]) -> str | None:
    """Return the most similar known name, for a suggestion; None if none is similar or too many are known."""
    if len(known) > _MAX_COMPARED:
        return None
    return next(iter(get_close_matches(name, known, n=1)), None)


def unknown_name(name: object, known: Sequence[str]) -> str:
    """Return the message for an unknown field, with the nearest known name."""
    near = similar_name(str(name), known)
    hint = f"did you mean {near}?" if near is not None else "known fields are " + ", ".join(known)
    return f"is not a known field; {hint}"


class Table:
    """A table that is being read. `None` counts as absent. `mistakes` has the errors found so far."""

    __slots__ = ("_is_table", "_raw", "mistakes", "path")

    def __init__(self, raw: object, path: str, known: Sequence[str]) -> None:
        self.path = path
        self.mistakes: list[Mistake] = []
        self._raw: Mapping[str, object] = {}
        self._is_table = isinstance(raw, Mapping)
        if not isinstance(raw, Mapping):
            problem = f"must be a table of fields, got {short_repr(raw)}"
            self.mistakes.append(Mistake(path, problem))
            return
        self._raw = raw
        for name in raw:
            if name not in known:
                self.refuse(str(name), unknown_name(name, known))

    def refuse(self, name: str, problem: str, remedy: str = "", code: str = "", **params: str) -> None:
        self.mistakes.append(Mistake(field_path(self.path, name), problem, remedy, code, params))

    def get(self, name: str) -> object:
        return self._raw.get(name)

    def required(
        self, name: str, remedy: str, problem: str = "is missing", code: str = MISSING, **params: str
    ) -> object:
        """Return the raw field, and add a mistake if it is absent."""
        value = self._raw.get(name)
        if value is None and self._is_table:
            self.refuse(name, problem, remedy, code, **params)
        return value

    def text(self, name: str, *, default: str | None = None, longest: int = MAX_KEY_LENGTH) -> str:
        """Return text of 1 to `longest` characters. Without a default, the field is required."""
        value = self._raw.get(name)
        if value is None:
            if default is None:
                self.required(name, f"write text of 1 to {longest} characters")
            return default or ""
        problem = text_problem(value, longest)
        if problem is not None or not isinstance(value, str):
            self.refuse(name, problem or "")
            return default or ""
        return value

    def optional_text(self, name: str, *, longest: int = MAX_KEY_LENGTH) -> str | None:
        return None if self._raw.get(name) is None else self.text(name, longest=longest) or None

    def choice(self, name: str, options: Sequence[str], default: str | None = None) -> str:
        """Return one of the options, which must match exactly."""
        value = self._raw.get(name)
        if value is None:
            if default is None:
                self.required(name, "write one of " + ", ".join(options))
            return default or options[0]
        if not isinstance(value, str) or value not in options:
            self.refuse(name, f"is {short_repr(value)}; write one of " + ", ".join(options))
            return default or options[0]
        return value
