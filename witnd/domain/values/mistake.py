"""A mistake in something a person wrote: where it is, and what to do about it."""

from msgspec import Struct


class Mistake(Struct, frozen=True):
    """`path` as in `condition[2].value`; `message` names the problem and the remedy."""

    path: str
    message: str

    def __str__(self) -> str:
        return f"{self.path}: {self.message}" if self.path else self.message
