"""The dashboard in a real browser, and all that it must not do there."""

import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from tests.web.api_server import ApiServer

BROWSER = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
# The console tells of every answer that is no success, also where a test wants one.
_ANSWERED = "Failed to load resource: the server responded with a status of"
# What a browser says of every form with a password and nothing else; password managers fill it in all the same.
_ADVICE = "[DOM] Password forms should have"


class Tab:
    """One tab. `page` is playwright's; `open` shows a page of the dashboard."""

    def __init__(self, context: Any, api: ApiServer) -> None:
        self.address = "http://{}:{}".format(*api.address)
        self.noise: list[str] = []
        self.page = context.new_page()
        self.page.set_default_timeout(15_000)
        self.page.on("console", self._said)
        self.page.on("pageerror", lambda error: self.noise.append(f"error: {error}"))
        self.page.on("request", self._asked)
        self.page.add_init_script(
            "addEventListener('securitypolicyviolation',"
            " (event) => console.error('policy: ' + event.violatedDirective + ' ' + event.blockedURI))"
        )

    def watch(self, context: Any) -> None:
        """All tabs that are opened from this one, too."""
        context.on("console", self._said)
        context.on("weberror", lambda error: self.noise.append(f"error: {error.error}"))
        context.on("request", self._asked)

    def open(self, path: str) -> Any:
        answer = self.page.goto(self.address + path)
        assert answer is not None
        return answer

    def field(self, name: str) -> Any:
        """The visible field of a form, by its name."""
        return self.page.locator(f"[name='{name}']:not([type=hidden])")

    def press(self, value: str) -> None:
        """Press the button with a value."""
        self.page.locator(f"button[value='{value}']").click()

    def sign_in(self, token: str) -> None:
        self.open("/dashboard")
        self.page.locator("[name=token]").fill(token)
        self.page.locator("form button").click()
        self.page.locator("nav [aria-current=page][href='/dashboard']").wait_for()

    def _said(self, message: Any) -> None:
        if not message.text.startswith((_ANSWERED, _ADVICE)):
            self.noise.append(f"{message.type}: {message.text}")

    def _asked(self, request: Any) -> None:
        if not request.url.startswith((self.address + "/", "data:,")):
            self.noise.append(f"request: {request.url}")


@contextmanager
def chromium() -> Iterator[Any]:
    from playwright import sync_api

    # The sandbox needs what root in a container does not have; the pages are our own.
    arguments = ["--no-sandbox"] if os.geteuid() == 0 else []
    with sync_api.sync_playwright() as driver:
        browser = driver.chromium.launch(executable_path=BROWSER, args=arguments)
        yield browser
        browser.close()
