"""What all pages share: their words, addresses and charts, the forms they take, their files, and what they refuse."""

import re
import shutil
from collections.abc import Callable
from html import unescape
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, quote, unquote, urlsplit

import pytest
from hypothesis import given
from hypothesis import strategies as st
from lxml import html

from tests.dashboard.client import FORM, Dashboard
from tests.support.server import Server
from tests.web.api_server import ApiServer, api_server
from witnd.store.catalogue.versions import CatalogueStore
from witnd.store.errors import StoreUnavailable
from witnd.web.dashboard import files
from witnd.web.dashboard.page import FIELDS_MAX
from witnd.web.dashboard.present import charts, words
from witnd.web.dashboard.present.charts import HEIGHT, LEFT, WIDTH, Chart, Day, draw_chart

TEXTS = st.text(st.characters(exclude_categories=["Cs"]))
HOSTILE = "<script>alert(1)</script>\"'&`"
NASTY = ["a/b", "a?b=c", "a#b", "a%2Fb", "ä ö 漢字 🙂", "..%5c..", "a\\b", "a&b=c+d", "\x00\n\t", "\u202etxt", "'\"<>"]


# -- words ------------------------------------------------------------------------------------------------------------


@given(TEXTS)
def test_what_stands_between_backticks_is_code_and_nothing_of_it_is_markup(text: str) -> None:
    without_tags = re.sub("</?code>", "", words.code(text))
    assert not set(without_tags) & set("<>\"'")
    assert unescape(without_tags) == (text.replace("`", "") if text.count("`") % 2 == 0 else text)
    assert words.code(text).count("<code>") == (text.count("`") // 2 if text.count("`") % 2 == 0 else 0)


@given(TEXTS, TEXTS)
def test_amounts_and_their_currencies_are_never_markup(amount: str, currency: str) -> None:
    shown = str(words.money(amount, currency))
    assert re.sub(r"</?span( class=\"(money|currency)\")?>", "", shown).count("<") == 0


@pytest.mark.parametrize(
    ("amount", "text"),
    [("0.00", "0.00"), ("999.99", "999.99"), ("1234.50", "1,234.50"), ("-1234567.8", "−1,234,567.8"), ("148", "148"),
     ("1000000000000000000.01", "1,000,000,000,000,000,000.01")],
)  # fmt: skip
def test_amounts_have_groups_of_three_and_the_currency_behind_them(amount: str, text: str) -> None:
    shown = html.fragment_fromstring(words.money(amount, "EUR"))
    assert shown.text_content() == f"{text}\u00a0EUR"


def test_an_amount_that_is_not_known_yet_is_a_dash() -> None:
    assert words.money(None, "EUR") == words.money("1.00", None) == words.when(None) == words.until(None) == "–"


@given(st.integers())
def test_numbers_lose_nothing_by_being_grouped(number: int) -> None:
    shown = words.number(number)
    assert int(shown.replace(",", "").replace("−", "-")) == number
    assert re.fullmatch(r"−?\d{1,3}(,\d{3})*", shown)


@pytest.mark.parametrize(
    ("seconds", "text"),
    [(0, "0 ms"), (0.25, "250 ms"), (1, "1 second"), (59, "59 seconds"), (60, "1 minute"), (3600, "1 hour"),
     (5400, "1 hour 30 minutes"), (86_400, "1 day"), (259_200, "3 days"), (90_061, "1 day 1 hour"),
     (86_430, "1 day 30 seconds"), (15_552_000, "180 days")],
)  # fmt: skip
def test_spans_are_said_with_the_two_units_that_matter(seconds: float, text: str) -> None:
    assert words.span(seconds) == text


@given(st.integers(1, 10**9))
def test_a_span_is_never_empty_and_says_one_and_several_rightly(seconds: int) -> None:
    parts = re.findall(r"(\d+) (\w+?)(s?)(?= |$)", words.span(seconds))
    assert 1 <= len(parts) <= 2
    assert all((many == "1") == (not several) for many, _, several in parts)


def test_instants_are_read_by_machines_and_by_people() -> None:
    for shown in (words.when(1_000_000_000_000), words.when("2001-09-09T01:46:40.000Z")):
        time = html.fragment_fromstring(shown)
        assert time.get("datetime") == "2001-09-09T01:46:40.000Z"
        assert time.get("title") == "2001-09-09 01:46:40.000 UTC"
        assert time.text == "9 Sep 2001, 01:46 UTC"
    assert "data-until" in html.fragment_fromstring(words.until(1)).attrib


def test_one_and_several_are_told_apart() -> None:
    assert [words.plural(many, "event") for many in (0, 1, 2, 1234)] == [
        "0 events", "1 event", "2 events", "1,234 events",
    ]  # fmt: skip
    assert words.plural(2, "reply", "replies") == "2 replies"
    assert words.plural(1, "reply", "replies") == "1 reply"


def test_a_state_that_is_not_known_has_no_colour_with_a_meaning() -> None:
    assert words.tone("CONFIRMED") == "good"
    assert words.tone(HOSTILE) == "muted"
    assert set(words.TONES.values()) == {"open", "pending", "good", "warn", "bad", "muted"}


@given(
    st.lists(
        st.sampled_from([".", "..", "new", "~", "~new", "~~", "%2e"]) | TEXTS.filter(bool), min_size=1, max_size=3
    ),
    st.dictionaries(st.sampled_from("abc"), TEXTS),
)
def test_any_key_and_question_comes_back_out_of_its_address(parts: list[str], asked: dict[str, str]) -> None:
    address = words.link(*parts, **asked)
    assert re.fullmatch(r"[!-~]+", address)
    split = urlsplit(address)
    written = [unquote(part, errors="strict") for part in split.path.split("/")[2:]]
    assert [words.decode_key(part) for part in written] == parts
    # Browsers take the first two for folders; at the last is a form.
    assert not {".", "..", "new"} & set(written)
    assert parse_qs(split.query, strict_parsing=bool(split.query)) == {
        name: [text] for name, text in asked.items() if text
    }
    assert not split.fragment


def test_questions_may_be_called_as_words_of_python_are() -> None:
    assert words.link("changes", from_="x", none=None, zero=0) == "/dashboard/changes?from=x&zero=0"
    assert words.link() == "/dashboard"
    assert words.new("customers", key="new") == "/dashboard/customers/new?key=new"


@pytest.mark.parametrize("key", NASTY)
def test_a_key_that_is_asked_for_comes_back_as_text(admin: Dashboard, key: str) -> None:
    page = admin.get(words.link("outcomes", search=key))
    assert page.status == 200
    field = page.find("//input[@name='search']")
    assert field.get("value", "") == key.replace("\x00", "\ufffd")
    page = admin.get(words.link("outcomes", key + "-not-there"))
    assert page.status == 404


# -- charts -----------------------------------------------------------------------------------------------------------


def day(*stacked: int, point: int = 0, label: str = "11-23") -> Day:
    return Day(label=label, tip="", stacked=stacked, point=point)


MANY = st.integers(0, 10**18)
DAYS = st.lists(st.builds(day, MANY, MANY, point=MANY), max_size=120)


@given(DAYS)
def test_everything_lies_within_the_drawing(days: list[Day]) -> None:
    chart = draw_chart(days)
    assert len(chart.bars) == len(days) == len(points(chart))
    for bar in chart.bars:
        assert LEFT <= bar.x <= bar.x + chart.step <= WIDTH + 0.1
        for layer in bar.layers:
            assert layer.height >= 0
            assert 0 <= layer.y <= layer.y + layer.height <= HEIGHT
    for x, y in points(chart):
        assert LEFT <= x <= WIDTH
        assert 0 <= y <= HEIGHT
    assert [tick.y for tick in chart.ticks] == sorted((tick.y for tick in chart.ticks), reverse=True)


@given(DAYS)
def test_layers_stand_on_each_other_and_are_as_high_as_what_they_show(days: list[Day]) -> None:
    chart = draw_chart(days)
    ground, top = chart.ticks[0].y, charts.nice(max([1, *(max(sum(one.stacked), one.point) for one in days)]))
    for shown, bar in zip(days, chart.bars, strict=True):
        base = ground
        for many, layer in zip(shown.stacked, bar.layers, strict=True):
            assert layer.y + layer.height == pytest.approx(base, abs=0.011)
            assert layer.height == pytest.approx((ground - chart.ticks[-1].y) * many / top, abs=0.02)
            base = layer.y


def points(chart: Chart) -> list[tuple[float, float]]:
    pairs = [pair.split(",") for pair in chart.points.split()]
    return [(float(x), float(y)) for x, y in pairs]


def test_one_day_and_no_day_have_a_chart_too() -> None:
    assert (draw_chart([]).bars, draw_chart([]).points) == ([], "")
    [bar] = draw_chart([day(0, 0)]).bars
    assert [layer.height for layer in bar.layers] == [0, 0]
    assert bar.label == "11-23"


def test_the_last_day_has_its_name_below_it_and_there_is_room_for_all_that_have() -> None:
    for count in range(1, 100):
        labels = [bar.label for bar in draw_chart([day(1)] * count).bars]
        assert labels[-1]
        assert 1 <= sum(map(bool, labels)) <= charts.LABELS


@given(st.integers(1, 10**30))
def test_axes_end_at_a_number_that_people_count_to(most: int) -> None:
    top = charts.nice(most)
    assert most <= top
    assert re.fullmatch("[125]0*", str(top))
    assert top < most * 2.5


@pytest.mark.parametrize(
    ("many", "text"),
    [(0, "0"), (999, "999"), (1000, "1k"), (2500, "2.5k"), (500_000, "500k"), (10**6, "1M"), (5 * 10**9, "5G")],
)
def test_figures_beside_an_axis_are_short(many: int, text: str) -> None:
    assert charts.short(many) == text


# -- forms and addresses ----------------------------------------------------------------------------------------------


def form_key(admin: Dashboard) -> str:
    key: str = admin.get("/dashboard").document.xpath("//input[@name='form_key']/@value")[0]
    return key


def sent(admin: Dashboard, body: bytes, content_type: str = FORM) -> tuple[int, str]:
    """What the form for signing out answers to a body; it must refuse it."""
    cookie = "; ".join(f"{name}={value}" for name, value in admin.cookies.items())
    answer = admin.api.ask(
        "POST", "/dashboard/sign-out", body, scope=None, headers={"Cookie": cookie}, content_type=content_type
    )
    assert answer.headers["content-type"] == "text/html; charset=utf-8"
    return answer.status, answer.body.decode()


def test_forms_that_no_page_of_ours_sends_are_refused_as_a_page_and_do_nothing(admin: Dashboard) -> None:
    key = form_key(admin)
    many = "&".join(f"f{number}=" for number in range(FIELDS_MAX))
    for body in (f"form_key={key}&{many}", f"form_key={key}&a=%ff", f"form_key={key}&a=%ed%a0%80"):
        status, page = sent(admin, body.encode())
        assert (status, 'data-case="validation_error"' in page) == (400, True), body[:60]
    assert sent(admin, f"form_key={key}&a=\xe4".encode("latin-1"))[0] == 400
    for content_type in ("application/json", "text/plain"):
        assert sent(admin, f"form_key={key}".encode(), content_type)[0] == 415
    assert sent(admin, f"form_key={key}".encode(), "multipart/form-data; boundary=x")[0] == 400
    assert admin.get("/dashboard").path == "/dashboard", "still signed in"
    most = "&".join(f"f{number}=" for number in range(FIELDS_MAX - 1))
    assert sent(admin, f"form_key={key}&{most}".encode(), f"{FORM}; charset=UTF-8")[0] == 303
    assert admin.get("/dashboard").path.startswith("/dashboard/sign-in"), "it was signed out"


def test_a_form_that_is_too_large_is_refused(admin: Dashboard) -> None:
    status, page = sent(admin, b"form_key=x&a=" + b"a" * 2_000_000)
    assert status == 413
    assert "data-case=" in page


@pytest.mark.parametrize("query", ["status=open&status=missed", "search=%ff", "status", "&".join(["a=1"] * 60)])
def test_addresses_that_are_not_well_formed_are_refused_as_a_page(admin: Dashboard, query: str) -> None:
    page = admin.get(f"/dashboard/outcomes?{query}")
    assert page.status == 400
    assert page.cases[0] == "validation_error"


def test_fields_without_a_value_ask_for_nothing(admin: Dashboard) -> None:
    page = admin.get("/dashboard/outcomes?search=&status=&customer=&agent=&match=")
    assert page.status == 200
    assert page.cases == ["none-yet"]


def test_a_page_that_is_no_form_takes_none(admin: Dashboard) -> None:
    for method, path in (("POST", "/dashboard"), ("DELETE", "/dashboard/outcomes"), ("PUT", "/dashboard/sign-in")):
        answer = admin.api.ask(method, path, b"form_key=x", scope=None, content_type=FORM)
        assert answer.status == 405
        assert answer.headers["content-type"].startswith("text/html")
        assert "data-case=" in answer.body.decode()
    assert admin.api.ask("POST", "/dashboard", b"", scope=None, content_type=FORM).headers["allow"] == "GET"


def test_head_has_the_headers_of_the_page_and_no_body(admin: Dashboard) -> None:
    cookie = "; ".join(f"{name}={value}" for name, value in admin.cookies.items())
    for path in ("/dashboard", "/dashboard/live", files.address("style.css")):
        answer = admin.api.ask("HEAD", path, scope=None, headers={"Cookie": cookie})
        assert (answer.status, answer.body) == (200, b"")
    answer = admin.api.ask("HEAD", "/dashboard", scope=None)
    assert (answer.status, answer.headers["location"]) == (303, "/dashboard/sign-in?next=%2Fdashboard")


def test_a_slash_at_the_end_is_no_other_place(admin: Dashboard) -> None:
    assert admin.get("/dashboard/").path == "/dashboard"


# -- what is said once ------------------------------------------------------------------------------------------------


def test_what_was_done_is_said_once_and_as_text(admin: Dashboard) -> None:
    for path, status in (("/dashboard", 200), ("/dashboard/nothing/here", 404), ("/dashboard/outcomes?status=x", 400)):
        admin.cookies["witnd_message"] = quote(HOSTILE)
        page = admin.get(path)
        assert page.status == status
        if status != 404:  # where nothing is, nobody is known to be signed in
            assert page.message == HOSTILE
        assert not page.document.xpath("//script[not(@src)]")
    assert "witnd_message" not in admin.cookies
    assert admin.get("/dashboard").message == ""


def test_cookies_that_others_on_this_host_set_do_no_harm(admin: Dashboard) -> None:
    ours = "; ".join(f"{name}={value}" for name, value in admin.cookies.items())
    for other in ('a={"b": 1}', "path=/; version=1", "=", ";;", "ä=ö", 'x="', "witnd_message=%ff%00", "a b c"):
        answer = admin.api.ask(
            "GET", "/dashboard", scope=None, headers={"Cookie": f"{other}; {ours}".encode().decode("latin-1")}
        )
        assert answer.status == 200, other
    for odd in ("witnd_session=", "witnd_session=%ff", "witnd_session=\xff\xfe", "witnd_session"):
        answer = admin.api.ask("GET", "/dashboard", scope=None, headers={"Cookie": odd})
        assert answer.status == 303, odd


def test_a_host_that_is_no_text_is_shown_as_far_as_it_can_be(admin: Dashboard) -> None:
    cookie = "; ".join(f"{name}={value}" for name, value in admin.cookies.items())
    answer = admin.api.ask("GET", "/dashboard", scope=None, headers={"Cookie": cookie, "Host": "a\xff<b>"})
    assert answer.status == 200
    assert b"a?&lt;b&gt;" in answer.body


# -- sessions ---------------------------------------------------------------------------------------------------------


def test_a_form_of_one_session_is_worth_nothing_in_another(admin: Dashboard, reader: Dashboard) -> None:
    for key in (form_key(reader), ""):
        assert admin.send("/dashboard/sign-out", {"form_key": key}).status == 403
    assert admin.send("/dashboard/sign-out", {"form_key": [form_key(reader), form_key(admin)]}).status == 403
    assert admin.get("/dashboard").path == reader.get("/dashboard").path == "/dashboard"


def test_a_token_is_no_session_and_a_session_no_token(admin: Dashboard) -> None:
    token = admin.api.tokens["admin"]
    assert admin.api.ask("GET", "/dashboard", token=token).status == 303
    [session] = admin.cookies.values()
    assert admin.api.ask("GET", "/v1/overview", token=session).status == 401
    assert (
        admin.api.ask("GET", "/v1/overview", scope=None, headers={"Cookie": f"witnd_session={session}"}).status == 401
    )


def test_nobody_acts_for_a_token_that_may_only_send(api: ApiServer) -> None:
    admin = Dashboard(api, "read")
    [token] = [one for one in api.get("/v1/tokens")["data"] if one["name"] == "ingest"]
    [name] = [key.decode() for key in api.deployment.call("KEYS", "witn:{shared}:session:*")]
    api.deployment.call("SET", name, f'{{"token_id":"{token["id"]}","form_key":"x"}}')
    assert admin.get("/dashboard").path.startswith("/dashboard/sign-in")


# -- files ------------------------------------------------------------------------------------------------------------


def test_files_are_kept_for_ever_and_need_nobody_signed_in(api: ApiServer) -> None:
    page = Dashboard(api, None).get("/dashboard/sign-in")
    found = page.document.xpath("//link/@href") + page.document.xpath("//img/@src") + [files.address("app.js")]
    assert len(set(found)) == 3
    for address in found:
        answer = api.ask("GET", address, scope=None)
        assert answer.status == 200
        assert answer.headers["cache-control"] == "public, max-age=31536000, immutable"
        assert answer.headers["content-type"].split(";")[0] in ("text/css", "text/javascript", "image/svg+xml")
        assert answer.headers["content-security-policy"].startswith("default-src 'none'")
    assert api.ask("GET", files.address("style.css").replace(".css", "0.css"), scope=None).status == 404


def test_the_address_of_a_file_changes_with_its_content(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    copy = shutil.copytree(files._FILES, tmp_path / "static")
    monkeypatch.setattr(files, "_FILES", copy)
    before, _ = files._read()
    assert before["app.js"] == files.address("app.js")
    (copy / "app.js").write_text("// another")
    after, found = files._read()
    assert before["style.css"] == after["style.css"]
    assert before["app.js"] != after["app.js"]
    assert found[after["app.js"].rpartition("/")[2]].content == b"// another"


@pytest.mark.parametrize(
    "name",
    [
        "..%2fdashboard%2fview.py",
        "%2e%2e/%2e%2e/page.py",
        "..\\view.py",
        "%2fetc%2fpasswd",
        "style.css",
        "",
        "%00",
        ".",
    ],
)
def test_files_lead_nowhere_else(api: ApiServer, name: str) -> None:
    answer = api.ask("GET", f"/dashboard/static/{name}", scope=None)
    assert answer.status == 404
    assert b"Raw" not in answer.body


def test_every_class_has_a_style_and_every_style_is_used() -> None:
    places = Path(files.__file__).parent, Path(files.__file__).parent.parent / "templates" / "dashboard"
    texts = [path.read_text() for place in places for path in place.rglob("*.*") if path.suffix in (".py", ".html")]
    style, script = (files.FILES[files.address(name).rpartition("/")[2]].content for name in ("style.css", "app.js"))
    plain = re.sub(r"/\*.*?\*/", "", style.decode(), flags=re.DOTALL)
    styled = set(re.findall(r"\.([a-z][a-z-]*)", plain))
    used = set(re.findall(r"[a-z][a-z-]*", "".join([*texts, script.decode()])))
    assert not styled - used
    # Of those that a template puts together, what stands there as it is.
    bare = re.sub(r"\{\{.*?\}\}|\{%.*?%\}", " ", "".join(texts), flags=re.DOTALL)
    named = " ".join(re.findall(r' class="([^"]*)"', bare)).split()
    assert not set(named) - styled


# -- while Redis is away ----------------------------------------------------------------------------------------------


def test_while_redis_is_away_pages_say_so_and_afterwards_go_on(server: Callable[..., Server], tmp_path: Path) -> None:
    own = server(fsync="always")
    with api_server(own, tmp_path) as api:
        admin = Dashboard(api)
        own.stop()
        for path in ("/dashboard", "/dashboard/outcomes", "/dashboard/live"):
            page = admin.get(path)
            assert page.status == 503
            assert page.cases[1] == "unchanged"
        assert Dashboard(api, None).get("/dashboard/sign-in").status == 200
        own.start()
        assert admin.get("/dashboard/outcomes").status == 200


def test_where_it_is_unknown_whether_it_was_done_nobody_is_told_to_repeat_it(
    admin: Dashboard, api: ApiServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    apply = CatalogueStore.apply

    async def silent(*arguments: Any, **named: Any) -> None:
        await apply(*arguments, **named)
        raise StoreUnavailable("no answer")

    page = admin.get("/dashboard/customers/new")
    with monkeypatch.context() as patched:
        patched.setattr(CatalogueStore, "apply", silent)
        lost = admin.submit(page, key="acme")
    assert lost.status == 503
    assert lost.cases[1] == "unknown"
    assert api.get("/v1/customers/acme")["key"] == "acme", "as it was done here"
