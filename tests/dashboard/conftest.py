"""Somebody who is signed in at the dashboard of a real daemon: over plain requests, or in a browser."""

import importlib.util
from collections.abc import Iterator
from typing import Any

import pytest

from tests.dashboard.browser import BROWSER, Tab, chromium
from tests.dashboard.client import Dashboard
from tests.web.api_server import ApiServer
from tests.web.conftest import api

__all__ = ["api"]


@pytest.fixture
def admin(api: ApiServer) -> Dashboard:
    """An admin."""
    return Dashboard(api)


@pytest.fixture
def reader(api: ApiServer) -> Dashboard:
    """Somebody who may read."""
    return Dashboard(api, "read")


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    """One for each module, as its driver keeps an event loop in this thread for as long as it is there."""
    if importlib.util.find_spec("playwright") is None:
        pytest.skip("playwright is not installed: pip install -e '.[browser]'")
    if BROWSER is None:
        pytest.skip("no Chromium here: apt-get install chromium, or see .ci")
    with chromium() as opened:
        yield opened


@pytest.fixture
def tab(api: ApiServer, browser: Any) -> Iterator[Tab]:
    """A tab of an admin. Anything on the console, a policy that is broken and a request to elsewhere fail the test."""
    context = browser.new_context()
    opened = Tab(context, api)
    opened.sign_in(api.tokens["admin"])
    yield opened
    context.close()
    assert not opened.noise
