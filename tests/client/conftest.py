"""A real daemon's HTTP side, and a server that answers from a script, over real sockets."""

from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from tests.client.script import Answer, Script
from tests.support.server import Server
from tests.web.api_server import ApiServer, api_server


@pytest.fixture
def api(session_server: Server, redis_url: str, tmp_path: Path) -> Iterator[ApiServer]:
    with api_server(session_server, tmp_path) as opened:
        yield opened


@pytest.fixture
def script() -> Iterator[Callable[..., Script]]:
    """Starts servers: `script(answer, answer, …)` gives each answer once, in that order."""
    with ExitStack() as stack:

        def start(*answers: Answer) -> Script:
            return stack.enter_context(Script(answers))

        yield start
