"""The dashboard without a browser: pages are requested and forms are filled in as a browser does it, over real sockets.

No scripts run here; every page must work without them.

Tests do not depend on sentences. They find things by what programs may rely on:

- `id` of a part of a page, `name` of a form's field, `value` of its button, `href` of a link;
- `data-list` of a table or list: what it lists, such as `versions`;
- `data-state` of a badge: the state, in lower case, such as `in effect` or `dead`;
- `data-page` of a link to more of a list: `first`, `next`, `further`, or `newest`, `earlier` for versions;
- `data-case` of a part whose text depends on the case: which case it is, such as `none-yet`;
- `data-field` of one field among those that differ or were agreed: its path;
- `data-fact` of a figure or a value in a list of facts: its name, such as `period`;
- `aria-invalid` and `aria-describedby` of a field that was refused.

A new hook is one of these attributes. Its value is a code of the API in lower case, or words in lower case joined by
hyphens; `data-field` has a path of the catalogue, such as `settlement_period`. Sentences are compared in the
golden pages only, see `tests/dashboard/golden.py`.
"""

import copy
import re
from collections.abc import Callable
from typing import Any, NamedTuple
from urllib.parse import urlencode, urljoin, urlsplit

from lxml import html

from tests.dashboard.reading import visible_text
from tests.web.api_server import Answer, ApiServer

FORM = "application/x-www-form-urlencoded"
Text = Callable[[Any], str]


class Page(NamedTuple):
    """A page, with the address where the last redirect led."""

    status: int
    path: str
    headers: dict[str, str]
    source: str

    @property
    def document(self) -> Any:
        return html.document_fromstring(self.source)

    @property
    def text(self) -> str:
        """All text, with single spaces between words."""
        return words(self.document.body)

    @property
    def message(self) -> str:
        """The message of the last action; empty without one."""
        return self.text_of("flash")

    def find(self, xpath: str) -> Any:
        """The only element at a path."""
        found = self.document.xpath(xpath)
        assert len(found) == 1, f"{len(found)} of {xpath} in {self.text}"
        return found[0]

    def text_of(self, name: str) -> str:
        """The text of the element with this id."""
        return words(self.find(f"//*[@id='{name}']"))

    def rows(self, name: str, text: Text | None = None) -> list[list[str]]:
        """The cells of each row of a table, without its head, as a wide screen shows them."""
        rows = self.document.xpath(f"//*[@data-list='{name}']//tbody/tr")
        return [[(text or words)(_wide(cell)) for cell in row] for row in rows]

    def items(self, name: str) -> list[Any]:
        """The elements that a list or table lists."""
        found = self.document.xpath(f"//*[@data-list='{name}']")
        return [one for place in found for one in place.xpath("./li | .//tbody/tr")]

    def states(self, name: str) -> list[list[str]]:
        """The states in each item of a list, as a wide screen shows them."""
        return [_wide(one).xpath(".//@data-state") for one in self.items(name)]

    def state(self, name: str) -> str:
        """The only state in the element with this id."""
        return str(self.find(f"//*[@id='{name}']//*[@data-state]").get("data-state"))

    def fact(self, name: str, text: Text | None = None) -> str:
        """The text of a fact or a figure."""
        return (text or words)(self.find(f"//*[@data-fact='{name}']"))

    @property
    def cases(self) -> list[str]:
        """Which cases the page shows, from its top."""
        return list(self.document.xpath("//@data-case"))

    def case(self, name: str) -> str:
        """The only case in or of the element with this id."""
        [found] = self.document.xpath(f"//*[@id='{name}']/descendant-or-self::*/@data-case")
        return str(found)

    def item_cases(self, name: str) -> list[list[str]]:
        """The cases in each item of a list."""
        return [one.xpath("descendant-or-self::*/@data-case") for one in self.items(name)]

    def item_fields(self, name: str) -> list[list[str]]:
        """The paths of the fields in each item of a list."""
        return [one.xpath("descendant-or-self::*/@data-field") for one in self.items(name)]

    @property
    def invalid(self) -> list[str]:
        """The names of the fields that are marked as wrong; each has a text that says why."""
        found = []
        for field in self.document.xpath("//*[@aria-invalid='true']"):
            described = (field.get("aria-describedby") or "").split()
            problem = [name for name in described if name.endswith("-problem")]
            assert problem, f"nothing says what is wrong with {field.get('name')}"
            assert self.text_of(problem[0]), problem
            found.append(field.get("name"))
        return found

    def problem(self, name: str) -> str:
        """What is said at a field that is marked as wrong."""
        assert name in self.invalid
        described = self.find(f"//*[@name='{name}' and @aria-invalid]").get("aria-describedby").split()
        return self.text_of(next(one for one in described if one.endswith("-problem")))

    @property
    def is_refused(self) -> bool:
        """Does an alert say what is wrong?"""
        return any(words(one) for one in self.document.xpath("//main//*[@role='alert']"))

    @property
    def pages(self) -> dict[str, str]:
        """Where lists go on: the kind of link → its address."""
        return {one.get("data-page"): one.get("href") for one in self.document.xpath("//a[@data-page]")}

    @property
    def hrefs(self) -> set[str]:
        """Where links lead."""
        return set(self.document.xpath("//a/@href"))

    def links(self) -> dict[str, str]:
        """The text of a link → its address. For texts that are keys and names."""
        return {words(one): one.get("href") for one in self.document.xpath("//a[@href]")}


def _wide(element: Any) -> Any:
    """A copy without what a phone shows in place of columns."""
    copied = copy.deepcopy(element)
    copied.tail = None
    for one in copied.xpath(".//*[contains(concat(' ', @class, ' '), ' narrow ')]"):
        one.drop_tree()
    return copied


def words(element: Any) -> str:
    return " ".join(element.text_content().split())


class Dashboard:
    """A session at the dashboard, with the cookies of a browser. Redirects are followed."""

    def __init__(self, api: ApiServer, scope: str | None = "admin") -> None:
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

    def upload(self, path: str, fields: dict[str, str], files: dict[str, tuple[str, bytes]]) -> Page:
        """A form with files: the name of a field → the name and the content of a file."""
        parts = [f'name="{name}"\r\n\r\n'.encode() + value.encode() for name, value in fields.items()]
        parts += [
            f'name="{name}"; filename="{file}"\r\nContent-Type: image/png\r\n\r\n'.encode() + content
            for name, (file, content) in files.items()
        ]
        head = b"--boundary-4711\r\nContent-Disposition: form-data; "
        body = b"".join(head + part + b"\r\n" for part in parts) + b"--boundary-4711--\r\n"
        return self._follow("POST", path, body, None, "multipart/form-data; boundary=boundary-4711")

    def submit(
        self, page: Page, action: str | None = None, *, button: str | None = None, which: int = 0, **fields: Any
    ) -> Page:
        """Fill in the form of a page and press the button with a value, or its first button.

        `action`: the address that the form is sent to; `which`: of several forms with that address. A field's value is
        a text, a list of texts, or None to leave it out.
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
            buttons = [one for one in buttons if one.get("value") == button]
            assert buttons, f"no button {button!r} in {words(form)}"
        target = form.action or page.path
        if buttons:
            if buttons[0].get("name"):
                given.setdefault(buttons[0].get("name"), []).append(buttons[0].get("value", ""))
            target = buttons[0].get("formaction", target)
        if (form.method or "GET").upper() == "GET":
            return self.get(f"{urlsplit(target).path}?{urlencode(given, doseq=True)}")
        return self.send(urljoin(page.path, target), given)

    def _follow(
        self, method: str, path: str, body: bytes | None, headers: dict[str, str] | None, content_type: str = FORM
    ) -> Page:
        for _ in range(5):
            answer = self._ask(method, path, body, headers, content_type)
            if answer.status != 303:
                return Page(answer.status, path, answer.headers, answer.body.decode())
            method, path, body = "GET", urljoin(path, answer.headers["location"]), None
        raise AssertionError(f"{path} leads in a circle")

    def _ask(
        self, method: str, path: str, body: bytes | None, headers: dict[str, str] | None, content_type: str
    ) -> Answer:
        cookie = "; ".join(f"{name}={value}" for name, value in self.cookies.items())
        given = {**({"Cookie": cookie} if cookie else {}), **(headers or {})}
        answer = self.api.ask(method, path, body, scope=None, headers=given, content_type=content_type if body else "")
        if (kept := answer.headers.get("set-cookie")) is not None:
            name, _, value = kept.partition(";")[0].partition("=")
            self.cookies.pop(name, None)
            if value:
                self.cookies[name] = value
        return answer


def names(element: Any) -> list[str]:
    """What an element shows as code: names of actions, agents and the like."""
    return [words(one) for one in element.xpath(".//code")]


def figures(element: Any) -> list[str]:
    """The numbers in the text of an element, in their order."""
    return re.findall(r"[0-9][0-9,.]*[0-9]|[0-9]", visible_text(element))
