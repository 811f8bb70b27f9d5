"""Reading the named fields of one table that a person wrote, collecting every mistake on the way.

What a field means is left to the module that owns the table. Nothing here raises: a field that is
wrong answers with a placeholder, and the mistake says why.
"""

from collections.abc import Mapping, Sequence
from difflib import get_close_matches

from witnd.domain.values.mistake import Mistake

# Names and keys have the limit of contract section 4, so that every key can be sent in an event.
LONGEST_KEY = 255
_SHOWN = 40


def described(value: object) -> str:
    """The value as a short phrase for a message."""
    if value is None:
        return "nothing"
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, str):
        shown = value if len(value) <= _SHOWN else value[:_SHOWN] + "…"
        # A terminal could take what is not printable for a command.
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


def joined(path: str, name: str) -> str:
    """The path of the field `name` of the table at `path`."""
    return f"{path}.{name}" if path else name


def text_problem(value: object, longest: int) -> str | None:
    """Why the value is not text of 1 to `longest` characters; None when it is."""
    if not isinstance(value, str):
        return f"must be text, and is {described(value)}; write it in quotes"
    if not value:
        return f"is empty; write 1 to {longest} characters"
    if len(value) > longest:
        return f"has {len(value)} characters; shorten it to at most {longest}"
    try:
        value.encode()
    except UnicodeEncodeError:
        return "holds half of a surrogate pair, which no UTF-8 text can; remove it"
    return None


def unknown_name(name: object, known: Sequence[str]) -> str:
    """The message for a field nobody asked for, with the nearest known name."""
    near = get_close_matches(str(name), known, n=1)
    hint = f"did you mean {near[0]}?" if near else "known here are " + ", ".join(known)
    return f"is not a known field; {hint}"


class Table:
    """One table being read. `None` counts as absent. `mistakes` holds what was wrong so far."""

    __slots__ = ("_is_table", "_raw", "mistakes", "path")

    def __init__(self, raw: object, path: str, known: Sequence[str]) -> None:
        self.path = path
        self.mistakes: list[Mistake] = []
        self._raw: Mapping[str, object] = {}
        self._is_table = isinstance(raw, Mapping)
        if not isinstance(raw, Mapping):
            problem = f"must be a table of fields, and is {described(raw)}"
            self.mistakes.append(Mistake(path, problem))
            return
        self._raw = raw
        for name in raw:
            if name not in known:
                self.refuse(str(name), unknown_name(name, known))

    def refuse(self, name: str, message: str) -> None:
        self.mistakes.append(Mistake(joined(self.path, name), message))

    def get(self, name: str) -> object:
        return self._raw.get(name)

    def required(self, name: str, remedy: str) -> object:
        """The field as it stands; a mistake when it is absent, unless nothing at all is there."""
        value = self._raw.get(name)
        if value is None and self._is_table:
            self.refuse(name, f"is missing; {remedy}")
        return value

    def text(self, name: str, *, default: str | None = None, longest: int = LONGEST_KEY) -> str:
        """Text of 1 to `longest` characters; required where there is no default."""
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

    def optional_text(self, name: str, *, longest: int = LONGEST_KEY) -> str | None:
        return None if self._raw.get(name) is None else self.text(name, longest=longest) or None

    def choice(self, name: str, options: Sequence[str], default: str | None = None) -> str:
        """One of the given words, spelled exactly so."""
        value = self._raw.get(name)
        if value is None:
            if default is None:
                self.required(name, "write one of " + ", ".join(options))
            return default or options[0]
        if not isinstance(value, str) or value not in options:
            self.refuse(name, f"is {described(value)}; write one of " + ", ".join(options))
            return default or options[0]
        return value
