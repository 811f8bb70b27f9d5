"""The seller over HTTP: one thing, created or replaced by PUT, and its logo."""

from base64 import b64encode

from tests.support.companies import LOGO, SELLER, png
from tests.web.api_server import ApiServer
from tests.web.catalogue import changes, paths


def test_there_is_no_seller_at_first(api: ApiServer) -> None:
    for method, path in (
        ("GET", "/v1/seller"),
        ("PATCH", "/v1/seller"),
        ("DELETE", "/v1/seller"),
        ("POST", "/v1/seller/restore"),
        ("GET", "/v1/seller/versions"),
        ("GET", "/v1/seller/compare?from=1&to=2"),
    ):
        answer = api.ask(method, path, {} if method == "PATCH" else None)
        assert answer.status == 404, path
        assert answer.error["message"] == "there is no seller yet; create it first"


def test_a_seller_is_put_and_read(api: ApiServer) -> None:
    raw = SELLER | {"iban": "DE89 3704 0044 0532 0130 00", "tax_id": "de136695976", "name": "Kontor GmbH "}
    answer = api.ask("PUT", "/v1/seller", raw)
    assert answer.status == 200, answer.body
    assert {name: answer.json[name] for name in SELLER} == SELLER
    assert (answer.json["version"], answer.json["archived"]) == (1, False)
    assert api.get("/v1/seller", scope="read") == answer.json
    small = api.ask("PUT", "/v1/seller", {"name": "Kontor"}).json
    absent = {name: None for name in SELLER if name not in ("name", "address", "payment_terms_days", "locale")}
    assert {name: small[name] for name in SELLER} == {
        **absent, "name": "Kontor", "address": [], "payment_terms_days": 30, "locale": "en",
    }  # fmt: skip


def test_a_seller_is_changed_field_by_field(api: ApiServer) -> None:
    api.ask("PUT", "/v1/seller", SELLER)
    changed = api.ask("PATCH", "/v1/seller", {"phone": None, "city": "Bremen"})
    assert (changed.json["phone"], changed.json["city"], changed.json["logo"]) == (None, "Bremen", LOGO)
    assert changed.headers["etag"] == '"2-2"'
    assert api.ask("PUT", "/v1/seller", SELLER, headers={"If-Match": '"1-1"'}).status == 412
    assert api.ask("PUT", "/v1/seller", SELLER, headers={"If-Match": '"2-2"'}).status == 200
    compared = api.get("/v1/seller/compare?from=1&to=2")["changes"]
    assert [one["path"] for one in compared] == ["city", "phone"]
    assert api.get("/v1/seller?version=2")["city"] == "Bremen"
    assert api.get("/v1/seller")["versions"] == 3


def test_putting_the_same_seller_again_changes_nothing(api: ApiServer) -> None:
    api.ask("PUT", "/v1/seller", SELLER)
    assert api.ask("PUT", "/v1/seller", SELLER).json["versions"] == 1
    assert [one["what"] for one in changes(api)] == ["seller.create"]


def test_an_archived_seller_is_restored_or_put_again(api: ApiServer) -> None:
    api.ask("PUT", "/v1/seller", {"name": "Kontor"})
    assert api.ask("DELETE", "/v1/seller").json["archived"] is True
    assert api.ask("POST", "/v1/seller/restore").json["archived"] is False
    api.ask("DELETE", "/v1/seller")
    assert api.ask("PUT", "/v1/seller", {"name": "Kontor"}).json["archived"] is False
    what = [one["what"] for one in changes(api)]
    assert what == ["seller.create", "seller.archive", "seller.restore", "seller.archive", "seller.restore"]


def test_all_mistakes_are_told_at_once_with_their_paths(api: ApiServer) -> None:
    body = {
        "address": ["a", 1],
        "country": "de",
        "iban": "DE1",
        "bic": "X",
        "logo": "R0lGODlh",
        "locale": "xx",
        "key": "a",
        "archived": True,
    }
    assert paths(api.ask("PUT", "/v1/seller", body)) == [
        "archived", "key", "address[1]", "country", "locale", "name", "iban", "bic", "logo",
    ]  # fmt: skip
    api.ask("PUT", "/v1/seller", {"name": "Kontor"})
    assert paths(api.ask("PATCH", "/v1/seller", {"name": None, "country": "de"})) == ["country", "name"]


def test_the_largest_logo_fits_into_a_request_and_is_never_listed(api: ApiServer) -> None:
    logo = b64encode(png(padding=200_000 - len(png(padding=1)) + 1)).decode()
    assert api.ask("PUT", "/v1/seller", SELLER | {"logo": logo}).json["logo"] == logo
    assert api.ask("PATCH", "/v1/seller", {"logo": LOGO}).status == 200
    for path in ("/v1/seller/versions", "/v1/seller/compare?from=1&to=2", "/v1/changes"):
        shown = api.ask("GET", path).body.decode()
        assert "PNG, 200 KB, fingerprint " in shown, path
        assert "PNG, 1 KB, fingerprint " in shown, path
        assert LOGO not in shown, path
        assert len(shown) < 10_000, path
    too_large = api.ask("PUT", "/v1/seller", SELLER | {"logo": b64encode(png(padding=200_000)).decode()})
    assert paths(too_large) == ["logo"]


def test_only_admins_change_the_seller(api: ApiServer) -> None:
    assert api.ask("PUT", "/v1/seller", {"name": "x"}, scope="read").status == 403
    assert api.ask("PATCH", "/v1/seller", {"name": "x"}, scope="read").status == 403
