"""The dashboard without a browser: pages are asked for and forms are filled in as a browser does it, over real sockets.

What scripts add is not there; every page must do without.
"""

import copy
from typing import Any, NamedTuple
from urllib.parse import urlencode, urljoin, urlsplit

from lxml import html

from tests.web.office import Answer, Office

FORM = "application/x-www-form-urlencoded"


class Page(NamedTuple):
    """A page with where it was found at last."""

    status: int
    path: str
    headers: dict[str, str]
    source: str

    @property
    def document(self) -> Any:
        return html.document_fromstring(self.source)

    @property
    def text(self) -> str:
        """What can be read on it, with single spaces between words."""
        return words(self.document.body)

    def find(self, xpath: str) -> Any:
        """The one element that is meant."""
        found = self.document.xpath(xpath)
        assert len(found) == 1, f"{len(found)} of {xpath} in {self.text}"
        return found[0]

    def id(self, name: str) -> str:
        """The text of the element with this id."""
        return words(self.find(f"//*[@id='{name}']"))

    def table(self, label: str) -> list[list[str]]:
        """The rows below the head of the table with this label, as a wide window has them."""
        rows = self.document.xpath(f"//*[@aria-label='{label}']//tbody/tr")
        return [[_wide(cell) for cell in row] for row in rows]

    def links(self) -> dict[str, str]:
        """Text of a link → where it leads."""
        return {words(one): one.get("href") for one in self.document.xpath("//a[@href]")}


def _wide(cell: Any) -> str:
    """Without what a phone has in the place of the columns that are too many for it."""
    cell = copy.deepcopy(cell)
    for one in cell.xpath(".//*[contains(concat(' ', @class, ' '), ' narrow ')]"):
        one.drop_tree()
    return words(cell)


def words(element: Any) -> str:
    return " ".join(element.text_content().split())


class Desk:
    """Somebody at the dashboard, with a browser's cookies. Redirects are followed."""

    def __init__(self, api: Office, scope: str | None = "admin") -> None:
        self.api = api
        self.cookies: dict[str, str] = {}
        if scope is not None:
            page = self.sign_in(api.tokens[scope])
            assert page.status == 200, page.text

    def sign_in(self, token: str, to: str = "/dashboard") -> Page:
        return self.send("/dashboard/sign-in", {"token": token, "next": to})

    def get(self, path: str, headers: dict[str, str] | None = None) -> Page:
        return self._follow("GET", path, None, headers)

    def send(self, path: str, fields: Any, headers: dict[str, str] | None = None) -> Page:
        """A form's fields, as a mapping or as pairs."""
        return self._follow("POST", path, urlencode(fields, doseq=True).encode(), headers)

    def submit(
        self, page: Page, action: str | None = None, *, button: str | None = None, which: int = 0, **fields: Any
    ) -> Page:
        """Fill in the form of a page and press a button, by its text; without one, the first there is.

        `action`: where the form leads, if there are several; `which` of them, if several lead there. A field's value
        is a text, a list of them, or None to leave it out.
        """
        forms = [
            form
            for form in page.document.forms
            if action is None or urlsplit(form.action or page.path).path == urlsplit(action).path
        ]
        if action is None:
            forms = [form for form in forms if not (form.action or "").endswith("/sign-out")]
        assert forms, f"no form leads to {action} in {page.text}"
        form = forms[which]
        given: dict[str, list[str]] = {}
        for name, value in form.form_values():
            given.setdefault(name, []).append(value)
        for name, value in fields.items():
            if value is None:
                given.pop(name, None)
                continue
            assert form.xpath(f".//*[@name='{name}']"), f"no field {name} among {sorted(given)}"
            given[name] = [value] if isinstance(value, str) else list(value)
        buttons = form.xpath(".//button[not(@type) or @type='submit']")
        if button is not None:
            buttons = [one for one in buttons if words(one) == button]
            assert buttons, f"no button {button!r} in {words(form)}"
        target = form.action or page.path
        if buttons:
            if buttons[0].get("name"):
                given.setdefault(buttons[0].get("name"), []).append(buttons[0].get("value", ""))
            target = buttons[0].get("formaction", target)
        if (form.method or "GET").upper() == "GET":
            return self.get(f"{urlsplit(target).path}?{urlencode(given, doseq=True)}")
        return self.send(urljoin(page.path, target), given)

    def _follow(self, method: str, path: str, body: bytes | None, headers: dict[str, str] | None) -> Page:
        for _ in range(5):
            answer = self._ask(method, path, body, headers)
            if answer.status != 303:
                return Page(answer.status, path, answer.headers, answer.body.decode())
            method, path, body = "GET", urljoin(path, answer.headers["location"]), None
        raise AssertionError(f"{path} leads in a circle")

    def _ask(self, method: str, path: str, body: bytes | None, headers: dict[str, str] | None) -> Answer:
        cookie = "; ".join(f"{name}={value}" for name, value in self.cookies.items())
        given = {**({"Cookie": cookie} if cookie else {}), **(headers or {})}
        answer = self.api.ask(method, path, body, scope=None, headers=given, content_type=FORM if body else "")
        if (kept := answer.headers.get("set-cookie")) is not None:
            name, _, value = kept.partition(";")[0].partition("=")
            self.cookies.pop(name, None)
            if value:
                self.cookies[name] = value
        return answer
