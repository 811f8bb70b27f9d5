"""Fixtures of the contract's tests."""

from collections.abc import Callable
from pathlib import Path

import pytest

from tests.contract.ledger import Ledger
from tests.support.server import Server


@pytest.fixture
def keep(
    redis_url: str,  # which empties the server
    session_server: Server,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> Callable[[int], Ledger]:
    """Books over so many partitions; invoices are issued by hand."""
    monkeypatch.chdir(tmp_path)

    def made(partitions: int) -> Ledger:
        ledger = Ledger(session_server, tmp_path, partitions)
        ledger.set(issue="manual")
        return ledger

    return made


@pytest.fixture
def ledger(keep: Callable[[int], Ledger]) -> Ledger:
    return keep(1)


@pytest.fixture
def sharded(keep: Callable[[int], Ledger]) -> Ledger:
    return keep(2)
