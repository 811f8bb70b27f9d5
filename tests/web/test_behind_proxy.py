"""Behind a proxy: below a path, over TLS, and with compressed answers."""

import gzip
import json
import re
from urllib.parse import urlencode

import pytest
from multidict import CIMultiDict

from tests.web.api_server import Answer, ApiServer
from witnd.web.http.behind_proxy import forwarded_prefix, is_over_tls
from witnd.web.http.compression import accepts_gzip

BELOW = {"X-Forwarded-Prefix": "/billing"}
GZIP = {"Accept-Encoding": "gzip, deflate, br"}
FORM = "application/x-www-form-urlencoded"


def sign_in(api: ApiServer, **headers: str) -> Answer:
    body = urlencode({"token": api.tokens["admin"], "next": "/dashboard"}).encode()
    given = {name.replace("_", "-"): value for name, value in headers.items()}
    return api.ask("POST", "/dashboard/sign-in", body, scope=None, content_type=FORM, headers=given)


def session(api: ApiServer, **headers: str) -> str:
    return sign_in(api, **headers).headers["set-cookie"].partition(";")[0]


@pytest.mark.parametrize(
    ("value", "prefix"),
    [
        ("/billing", "/billing"), ("/billing/", "/billing"), ("/a/b-c_d.e~f", "/a/b-c_d.e~f"), ("/one, /two", "/one"),
        ("", ""), ("/", ""), ("billing", ""), ("//evil.example", ""), ("/a//b", ""), ("/..", ""), ("/a/../b", ""),
        ('/"><script>', ""), ("/a b", ""), ("/a\\b", ""), ("https://evil.example", ""), ("/a?b", ""), ("/a%2fb", ""),
    ],
)  # fmt: skip
def test_a_prefix_is_a_plain_path_or_nothing(value: str, prefix: str) -> None:
    assert forwarded_prefix(CIMultiDict({"X-Forwarded-Prefix": value})) == prefix


@pytest.mark.parametrize(
    ("value", "secure"),
    [
        ("https", True),
        ("https, http", True),
        ("HTTPS ,http", True),
        ("http, https", False),
        ("http", False),
        ("", False),
    ],
)
def test_the_first_value_of_the_protocol_decides(value: str, *, secure: bool) -> None:
    assert is_over_tls(CIMultiDict({"X-Forwarded-Proto": value})) is secure


def test_the_cookie_is_secure_where_the_first_proxy_speaks_tls(api: ApiServer) -> None:
    assert "; Secure" in sign_in(api, X_Forwarded_Proto="https, http").headers["set-cookie"]
    assert "; Secure" not in sign_in(api, X_Forwarded_Proto="http, https").headers["set-cookie"]


def test_below_a_path_every_place_is_named_below_it(api: ApiServer) -> None:
    moved = sign_in(api, X_Forwarded_Prefix="/billing")
    assert moved.headers["location"] == "/billing/dashboard"
    assert "; Path=/billing/" in moved.headers["set-cookie"]
    cookie = {"Cookie": moved.headers["set-cookie"].partition(";")[0]}
    for path in (
        "/dashboard",
        "/dashboard/settings",
        "/dashboard/customers",
        "/dashboard/nothing",
        "/dashboard/sign-in",
    ):
        page = api.ask("GET", path, scope=None, headers=BELOW | cookie).body.decode()
        places = re.findall(r'\s(?:href|src|action|formaction|data-live)="(/[^"]*)"', page)
        assert places, path
        assert [place for place in places if not place.startswith("/billing/")] == []
    refused = api.ask("GET", "/v1/customers/none", headers=BELOW)
    assert refused.error["doc_url"] == "/billing/docs#not-found"
    assert api.ask("GET", "/openapi.json", scope=None, headers=BELOW).json["servers"] == [{"url": "/billing"}]
    assert api.ask("GET", "/v1/problems", headers=BELOW).json["held"]["href"].startswith("/billing/v1/")
    assert api.ask("GET", "/v1/problems").json["held"]["href"].startswith("/v1/")


def test_the_reference_page_needs_no_header_to_be_below_a_path(api: ApiServer) -> None:
    page = api.ask("GET", "/docs", scope=None).body.decode()
    assert re.findall(r'(?:href|src)="/', page) == []
    assert 'href="docs/style.css"' in page


def test_what_events_contain_is_not_taken_for_a_place(api: ApiServer) -> None:
    name = 'x" href="/evil'
    api.ask("POST", "/v1/customers", {"key": "odd-customer", "name": name})
    cookie = {"Cookie": session(api)}
    page = api.ask("GET", "/dashboard/customers/odd-customer", scope=None, headers=BELOW | cookie).body.decode()
    assert "/billing/evil" not in page
    assert api.ask("GET", "/v1/customers/odd-customer", headers=BELOW).json["name"] == name


def test_signing_in_again_ends_the_session_before(api: ApiServer) -> None:
    old = session(api)
    new = session(api, Cookie=old)
    assert api.ask("GET", "/dashboard", scope=None, headers={"Cookie": new}).status == 200
    assert api.ask("GET", "/dashboard", scope=None, headers={"Cookie": old}).status == 303


@pytest.mark.parametrize(
    ("header", "takes"),
    [("gzip", True), ("br, GZIP;q=0.5", True), ("*", True), ("gzip;q=0", False), ("*;q=0", False), ("br", False),
     ("", False), ("gzip;q=0, *", False), ("gzip; q=0.001", True), ("gzip;q=x", False)],
)  # fmt: skip
def test_gzip_is_used_where_it_is_wanted(header: str, *, takes: bool) -> None:
    assert accepts_gzip(header) is takes


def test_lists_files_and_pages_are_compressed(api: ApiServer) -> None:
    for number in range(20):
        api.ask("POST", "/v1/customers", {"key": f"customer-{number:03}", "name": "n" * 50})
    cookie = {"Cookie": session(api)}
    for path, scope in (
        ("/v1/customers?limit=20", "admin"),
        ("/openapi.json", None),
        ("/docs", None),
        ("/dashboard", None),
    ):
        plain = api.ask("GET", path, scope=scope, headers=cookie)
        assert "content-encoding" not in plain.headers
        assert plain.headers["vary"] == "Accept-Encoding", path
        small = api.ask("GET", path, scope=scope, headers=cookie | GZIP)
        assert (small.headers["content-encoding"], small.headers["vary"]) == ("gzip", "Accept-Encoding"), path
        assert len(small.body) < len(plain.body)
        body = gzip.decompress(small.body)
        assert body == plain.body if path != "/dashboard" else b"</html>" in body
        head = api.ask("HEAD", path, scope=scope, headers=cookie | GZIP)
        assert head.headers.get("content-encoding") == "gzip"
        assert head.body == b""


def test_answers_whose_length_could_give_a_secret_away_are_not_compressed(api: ApiServer) -> None:
    cookie = {"Cookie": session(api)}
    asked = [
        api.ask("GET", "/dashboard/sign-in", scope=None, headers=GZIP),
        api.ask("GET", "/dashboard/tokens", scope=None, headers=cookie | GZIP),
        api.ask("GET", "/dashboard/outcomes?prefix=guess", scope=None, headers=cookie | GZIP),
        api.ask("GET", "/v1/tokens", headers=GZIP),
        api.ask("POST", "/v1/tokens", {"name": "n" * 90, "scopes": ["read"]}, headers=GZIP),
        api.ask("GET", "/v1/customers/" + "x" * 1500, headers=GZIP),
    ]
    assert [one.status for one in asked] == [200, 200, 200, 200, 201, 404]
    assert [one.headers.get("content-encoding") for one in asked] == [None] * 6


def test_short_answers_are_left_as_they_are(api: ApiServer) -> None:
    answer = api.ask("GET", "/healthz", scope=None, headers=GZIP)
    assert (answer.headers.get("content-encoding"), json.loads(answer.body)) == (None, {"status": "ok"})
