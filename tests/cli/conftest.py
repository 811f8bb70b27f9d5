"""Fixtures of the commands' tests."""

from pathlib import Path

import pytest

from tests.support.server import Server
from tests.support.workshop import Workshop


@pytest.fixture
def shop(redis_url: str, session_server: Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Workshop:
    """Commands and a daemon on the shared server, with one partition."""
    monkeypatch.chdir(tmp_path)
    return Workshop(session_server, tmp_path)


@pytest.fixture
def sharded(redis_url: str, session_server: Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Workshop:
    """The same with three partitions."""
    monkeypatch.chdir(tmp_path)
    return Workshop(session_server, tmp_path, partitions=3)
