"""The seller at the dashboard: its page, its form with a logo, and forms with files in general."""

import pytest

from tests.dashboard.browser import Tab
from tests.dashboard.client import Dashboard, Page
from tests.support.companies import LOGO, SELLER, png
from tests.web.api_server import ApiServer
from witnd.web.dashboard.multipart import read_multipart

PAGE, EDIT = "/dashboard/seller", "/dashboard/seller/edit"
TEXTS = {name: str(text) for name, text in SELLER.items() if name not in ("logo", "address")}
TEXTS["address"] = "\n".join(SELLER["address"])


def upload(admin: Dashboard, content: bytes, **fields: str) -> Page:
    form = admin.get(EDIT).document.xpath(f"//form[@action='{EDIT}']")[0]
    assert form.get("enctype") == "multipart/form-data"
    given = {name: value for name, value in form.form_values() if name not in ("logo", "remove_logo")}
    return admin.upload(EDIT, given | fields, {"logo": ("logo.png" if content else "", content)})


def test_a_seller_is_set_up_changed_and_shown(api: ApiServer, admin: Dashboard) -> None:
    assert admin.get(PAGE).cases == ["none-yet"]
    assert admin.submit(admin.get(EDIT), EDIT, **TEXTS).path == PAGE
    stored = api.get("/v1/seller")
    assert {name: stored[name] for name in SELLER} == {**SELLER, "logo": None}
    shown = admin.get(PAGE).text
    for text in (
        "Kontor GmbH",
        "Hof 2",
        "20457 Hamburg",
        "DE136695976",
        "COBADEFFXXX",
        "14 days",
        "German",
        "Vielen Dank!",
    ):
        assert text in shown, text
    opened = admin.get(EDIT)
    assert admin.submit(opened, EDIT).message == "No changes to save."
    admin.submit(opened, EDIT, city="Bremen")
    assert admin.submit(opened, EDIT, city="Kiel").status == 409
    assert api.get("/v1/seller")["city"] == "Bremen"


def test_a_logo_is_uploaded_kept_and_removed(api: ApiServer, admin: Dashboard) -> None:
    assert upload(admin, png(), name="Kontor").path == PAGE
    assert api.get("/v1/seller")["logo"] == LOGO
    source = admin.get(PAGE).find("//img[@class='logo']").get("src")
    cookie = "; ".join(f"{name}={value}" for name, value in admin.cookies.items())
    answer = api.ask("GET", source, scope=None, headers={"Cookie": cookie})
    assert (answer.status, answer.headers["content-type"], answer.body) == (200, "image/png", png())
    upload(admin, b"", phone="123")
    assert (api.get("/v1/seller")["logo"], api.get("/v1/seller")["phone"]) == (LOGO, "123")
    admin.submit(admin.get(EDIT), EDIT, remove_logo="yes")
    assert api.get("/v1/seller")["logo"] is None
    assert api.ask("GET", source, scope=None, headers={"Cookie": cookie}).status == 404


@pytest.mark.parametrize(
    ("content", "problem"),
    [(b"GIF89a", "is not a PNG image"), (png(padding=300_000), "use an image of at most 200 KB")],
)
def test_a_wrong_logo_is_refused_with_all_other_mistakes(
    api: ApiServer, admin: Dashboard, content: bytes, problem: str
) -> None:
    page = upload(admin, content, name="", iban="DE1", address="a\n\tb\x07")
    assert page.invalid == ["name", "address", "iban", "logo"]
    assert problem in page.problem("logo")
    assert page.find("//*[@name='iban']").get("value") == "DE1"
    assert api.ask("GET", "/v1/seller").status == 404


def test_a_form_that_is_much_too_large_is_refused(api: ApiServer, admin: Dashboard) -> None:
    assert upload(admin, bytes(1_000_000), name="Kontor").status == 413


def test_an_archived_seller_is_restored(api: ApiServer, admin: Dashboard) -> None:
    api.ask("PUT", "/v1/seller", SELLER)
    admin.submit(admin.get(PAGE), f"{PAGE}/archive", confirmed="yes")
    assert "archived" in admin.get(PAGE).cases
    admin.submit(admin.get(EDIT), EDIT, city="Kiel")
    assert (api.get("/v1/seller")["archived"], api.get("/v1/seller")["city"]) == (True, "Kiel")
    admin.submit(admin.get(PAGE), f"{PAGE}/restore")
    assert api.get("/v1/seller")["archived"] is False


def test_changes_show_the_size_of_a_logo(api: ApiServer, admin: Dashboard) -> None:
    api.ask("PUT", "/v1/seller", SELLER)
    api.ask("PATCH", "/v1/seller", {"logo": None})
    changes = admin.get("/dashboard/changes").text
    assert changes.count("PNG, 1 KB, fingerprint ") == 2
    assert LOGO not in changes


HEAD = b"--b\r\nContent-Disposition: form-data; "


def test_a_form_with_files_is_read_part_by_part() -> None:
    data = (
        HEAD
        + b'name="a%22b"\r\n\r\n1\r\n2\r\n'
        + HEAD
        + b'name="f"; filename="x.png"\r\nContent-Type: image/png\r\n\r\n'
    )
    posted = read_multipart(data + b"\x00\r\n--c\xff\r\n--b--\r\n", 'multipart/form-data; boundary="b"', 10)
    assert posted.fields == [('a"b', "1\r\n2")]
    assert posted.files == {"f": b"\x00\r\n--c\xff"}
    empty = HEAD + b'name="f"; filename=""\r\n\r\n\r\n--b--'
    assert read_multipart(empty, "multipart/form-data; boundary=b", 10) == ([], {})


@pytest.mark.parametrize(
    ("data", "content_type"),
    [
        (b"", "multipart/form-data; boundary=b"),
        (b"--b--", "multipart/form-data"),
        (HEAD + b'name="a"\r\n\r\n1', "multipart/form-data; boundary=b"),
        (HEAD + b'name="a"\r\n--b--', "multipart/form-data; boundary=b"),
        (HEAD + b"\r\n\r\n1\r\n--b--", "multipart/form-data; boundary=b"),
        (HEAD + b'name="a"\r\n\r\n\xff\r\n--b--', "multipart/form-data; boundary=b"),
        (3 * (HEAD + b'name="a"\r\n\r\n1\r\n') + b"--b--", "multipart/form-data; boundary=b"),
    ],
)
def test_a_malformed_form_with_files_is_refused(data: bytes, content_type: str) -> None:
    with pytest.raises(ValueError):  # noqa: PT011 - the caller has its own words
        read_multipart(data, content_type, 2)


@pytest.mark.slow
def test_a_browser_sends_a_logo(tab: Tab, api: ApiServer) -> None:
    tab.open(EDIT)
    page = tab.page
    tab.field("name").fill("Kontor")
    tab.field("address").fill("Hafenstraße 1\nHof 2")
    tab.field("country").select_option("DE")
    tab.field("logo").set_input_files({"name": "logo.png", "mimeType": "image/png", "buffer": png(40, 20)})
    page.get_by_role("button", name="Save seller").click()
    page.locator("img.logo").wait_for()
    page.wait_for_function("document.querySelector('img.logo').naturalWidth === 40")  # once it is loaded
    assert api.get("/v1/seller")["address"] == ["Hafenstraße 1", "Hof 2"]
