"""Fixtures of the commands' tests."""

from pathlib import Path

import pytest

from tests.support.deployment import Deployment
from tests.support.server import Server


@pytest.fixture
def deployment(redis_url: str, session_server: Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Deployment:
    """Commands and a daemon on the shared server, with one partition."""
    monkeypatch.chdir(tmp_path)
    return Deployment(session_server, tmp_path)


@pytest.fixture
def sharded(redis_url: str, session_server: Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Deployment:
    """The same with three partitions."""
    monkeypatch.chdir(tmp_path)
    return Deployment(session_server, tmp_path, partitions=3)
