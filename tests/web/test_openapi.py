"""The description of the API, for programs and for people, is made from the routes and says nothing else."""

import json
import re
from html.parser import HTMLParser
from typing import Any

import pytest

from tests.web.api_server import ApiServer
from witnd.app.errors import Refused
from witnd.web.api.docs import POLICY
from witnd.web.api.spec import openapi, reference
from witnd.web.api.spec.openapi import MEANINGS, document, refusals, text
from witnd.web.errors import CODES, encode_error
from witnd.web.http.route import ROUTES as IN_ORDER_OF_IMPORT
from witnd.web.routes import ROUTES


def test_every_route_is_in_the_document_with_its_scope_and_its_refusals() -> None:
    paths = document(ROUTES)["paths"]
    assert sum(len(methods) for methods in paths.values()) == len(ROUTES)
    for one in ROUTES:
        found = paths[one.path][one.method.lower()]
        assert found["summary"] == one.says
        assert found.get("x-scope") == one.scope
        assert found["security"] == ([] if one.scope is None else [{"token": [one.scope]}])
        statuses = {str(CODES[code].status) for code in refusals(one)}
        assert set(found["responses"]) == {str(one.status)} | statuses
        assert {"400", "500", "503"} <= statuses
        assert (one.scope is None) or {"401", "403", "429"} <= statuses
        assert (one.body is None) or {"408", "413", "415"} <= statuses


def test_no_two_calls_have_one_name() -> None:
    names = [one["operationId"] for methods in document(ROUTES)["paths"].values() for one in methods.values()]
    assert sorted(set(names)) == sorted(names)


def test_the_text_does_not_depend_on_the_order_in_which_modules_were_imported() -> None:
    assert text(ROUTES) == text(list(reversed(IN_ORDER_OF_IMPORT)))


def test_every_reference_leads_somewhere() -> None:
    made = document(ROUTES)
    for reference_ in re.findall(r'"\$ref": ?"#/([^"]+)"', json.dumps(made)):
        node: Any = made
        for part in reference_.split("/"):
            node = node[part]
        assert node


def test_every_code_is_explained() -> None:
    assert set(MEANINGS) == set(CODES)
    assert len({kind.status for kind in CODES.values()}) == len(CODES), "an answer's status says its code"


def test_every_struct_says_what_it_is() -> None:
    silent = [
        name for name, schema in document(ROUTES)["components"]["schemas"].items() if not schema.get("description")
    ]
    assert silent == []


def test_the_description_is_served_as_it_is_checked_in(api: ApiServer) -> None:
    answer = api.ask("GET", "/openapi.json", scope=None)
    assert answer.status == 200
    assert answer.headers["content-type"] == "application/json"
    assert answer.body == openapi.text(ROUTES)
    assert answer.json["openapi"].startswith("3.1")


class Page(HTMLParser):
    def __init__(self, text_: str) -> None:
        super().__init__()
        self.ids: list[str] = []
        self.links: list[str] = []
        self.tags: list[str] = []
        self.attributes: set[str] = set()
        self.feed(text_)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        for name, value in attrs:
            self.attributes.add(name)
            if name == "id":
                self.ids.append(value or "")
            if name in ("href", "src"):
                self.links.append(value or "")


def test_the_page_needs_nothing_from_elsewhere_and_runs_nothing(api: ApiServer) -> None:
    answer = api.ask("GET", "/docs", scope=None)
    assert (answer.status, answer.headers["content-type"]) == (200, "text/html; charset=utf-8")
    assert answer.headers["content-security-policy"] == POLICY
    page = Page(answer.body.decode())
    assert "script" not in page.tags
    assert not {name for name in page.attributes if name.startswith("on") or name == "style"}
    outside = [link for link in page.links if not link.startswith("#")]
    assert sorted(set(outside)) == ["docs/icon.svg", "docs/style.css", "openapi.json"], "it may be below any path"
    for link in outside:
        assert api.ask("GET", f"/{link}", scope=None).status == 200
    style = api.ask("GET", "/docs/style.css", scope=None)
    assert style.headers["content-type"] == "text/css; charset=utf-8"
    assert b"url(" not in style.body
    assert b"@import" not in style.body


def test_every_link_inside_of_the_page_leads_somewhere_and_no_place_is_there_twice() -> None:
    page = Page(reference.page(document(ROUTES)))
    assert len(set(page.ids)) == len(page.ids)
    assert {link[1:] for link in page.links if link.startswith("#")} <= set(page.ids)


@pytest.mark.parametrize("code", CODES)
def test_the_address_in_an_error_leads_to_what_the_error_means(code: str) -> None:
    body = json.loads(encode_error(Refused(code, "x"), "0" * 32))
    path, _, anchor = body["error"]["doc_url"].partition("#")
    assert path == "/docs"
    assert anchor in Page(reference.page(document(ROUTES))).ids


def test_what_a_struct_says_is_text_on_the_page_and_no_markup() -> None:
    made = document(ROUTES)
    made["components"]["schemas"]["ErrorBody"]["description"] = "<script>alert(1)</script> `<script>`"
    assert "<script>" not in reference.page(made)
