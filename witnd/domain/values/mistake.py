"""An error in user input: its path, the problem and the remedy."""

from collections.abc import Mapping

from msgspec import Struct


class Mistake(Struct, frozen=True):
    """`path` as in `condition[2].value`. `code` and `params` are for forms, which have words of their own."""

    path: str
    problem: str
    remedy: str = ""
    code: str = ""
    params: Mapping[str, str] = {}

    @property
    def message(self) -> str:
        return f"{self.problem}; {self.remedy}" if self.remedy else self.problem

    def __str__(self) -> str:
        return f"{self.path}: {self.message}" if self.path else self.message
