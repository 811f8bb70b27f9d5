"""Fixtures of the contract's tests."""

from collections.abc import Callable
from pathlib import Path

import pytest

from tests.contract.books import Books
from tests.support.server import Server


@pytest.fixture
def keep(
    redis_url: str,  # noqa: ARG001 - empties the server
    session_server: Server,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> Callable[[int], Books]:
    """Books over so many partitions; invoices are issued by hand."""
    monkeypatch.chdir(tmp_path)

    def made(partitions: int) -> Books:
        books = Books(session_server, tmp_path, partitions)
        books.set(issue="manual")
        return books

    return made


@pytest.fixture
def books(keep: Callable[[int], Books]) -> Books:
    return keep(1)


@pytest.fixture
def sharded(keep: Callable[[int], Books]) -> Books:
    return keep(2)
