"""An error in user input: its path, the problem and the remedy."""

from msgspec import Struct


class Mistake(Struct, frozen=True):
    """`path` as in `condition[2].value`; `message` names the problem and the remedy."""

    path: str
    message: str

    def __str__(self) -> str:
        return f"{self.path}: {self.message}" if self.path else self.message
