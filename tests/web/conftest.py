"""The HTTP side of a real daemon on the server that tests share."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.server import Server
from tests.web.office import Office, office


@pytest.fixture
def api(session_server: Server, redis_url: str, tmp_path: Path) -> Iterator[Office]:
    with office(session_server, tmp_path) as opened:
        yield opened
