"""The HTTP side of a real daemon on the server that tests share."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.server import Server
from tests.web.api_server import ApiServer, api_server


@pytest.fixture
def api(session_server: Server, redis_url: str, tmp_path: Path) -> Iterator[ApiServer]:
    with api_server(session_server, tmp_path) as opened:
        yield opened
