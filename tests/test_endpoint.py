"""A Redis URL has one meaning, or is refused with the reason."""

import ssl
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from witnd.config import RedisConfig
from witnd.endpoint import Endpoint, endpoint
from witnd.settings import READERS


def parts(url: str) -> tuple[object, ...]:
    read = endpoint(url)
    return read.host or read.path, read.port, read.username, read.password, read.db, read.tls, read.ca_file


@pytest.mark.parametrize(
    ("url", "expected"),
    [
        ("redis://h", ("h", 6379, None, None, 0, False, None)),
        ("REDIS://H:1/", ("h", 1, None, None, 0, False, None)),
        ("redis://h:/15", ("h", 6379, None, None, 15, False, None)),
        ("redis://h.example.:6380?db=3", ("h.example.", 6380, None, None, 3, False, None)),
        ("redis://h/3?db=3", ("h", 6379, None, None, 3, False, None)),
        ("redis://u:p:q@h", ("h", 6379, "u", "p:q", 0, False, None)),
        ("redis://:%40%2F%3A%23@h", ("h", 6379, None, "@/:#", 0, False, None)),
        ("redis://u@h", ("h", 6379, "u", None, 0, False, None)),
        ("redis://@h", ("h", 6379, None, None, 0, False, None)),
        ("redis://[::1]:7", ("::1", 7, None, None, 0, False, None)),
        ("redis://[0:0::1]", ("::1", 6379, None, None, 0, False, None)),
        ("redis://[fe80::1%25eth0]", ("fe80::1%eth0", 6379, None, None, 0, False, None)),
        ("rediss://h?ssl_ca_certs=/a%20b.pem&db=1", ("h", 6379, None, None, 1, True, "/a b.pem")),
        ("unix:///run/r.sock?db=2", ("/run/r.sock", 6379, None, None, 2, False, None)),
        ("unix://u:p@/run/%C3%A9.sock", ("/run/é.sock", 6379, "u", "p", 0, False, None)),
    ],
)
def test_an_address_means_what_it_says(url: str, expected: tuple[object, ...]) -> None:
    assert parts(url) == expected


@pytest.mark.parametrize(
    ("url", "nodes", "others"),
    [
        ("redis+cluster://h", (("h", 6379),), ("cluster", None, 0, False, None, None)),
        ("redis+cluster://u:p@h:1,i:2/", (("h", 1), ("i", 2)), ("cluster", None, 0, False, "u", None)),
        ("rediss+cluster://[::1]:1,h?ssl_ca_certs=/a", (("::1", 1), ("h", 6379)),
         ("cluster", None, 0, True, None, "/a")),
        ("redis+sentinel://h/main", (("h", 26379),), ("sentinel", "main", 0, False, None, None)),
        ("redis+sentinel://u:p@h:1,i/my-main.1/3", (("h", 1), ("i", 26379)),
         ("sentinel", "my-main.1", 3, False, "u", None)),
        ("REDISS+SENTINEL://H:1/7/0", (("h", 1),), ("sentinel", "7", 0, True, None, None)),
    ],
)  # fmt: skip
def test_an_address_of_several_servers(url: str, nodes: tuple[object, ...], others: tuple[object, ...]) -> None:
    read = endpoint(url)
    assert read.nodes == nodes
    assert (read.mode, read.service, read.db, read.tls, read.username, read.ca_file) == others
    assert endpoint(str(read)).nodes == nodes


def test_servers_and_sentinels_have_logins_of_their_own(tmp_path: Path) -> None:
    file = tmp_path / "password"
    file.write_text("secret")
    settings = RedisConfig(
        url="redis+sentinel://u:p@h/main/2",
        sentinel_username="s",
        sentinel_password_file=str(file),
        sentinel_tls=True,
    )
    read = settings.endpoint({})
    server, sentinel = read.server(("i", 1)), read.sentinel(("h", 26379))
    assert (str(server), server.login(), server.mode) == ("redis://i:1/2", ("u", "p"), "single")
    assert (str(sentinel), sentinel.login(), sentinel.mode) == ("rediss://h:26379/0", ("s", "secret"), "single")


@pytest.mark.parametrize(
    ("url", "problem"),
    [
        ("", "must start with"),
        ("redis:/h", "must start with"),
        ("http://h", "must start with"),
        ("redis+other://h", "must start with"),
        ("redis://a..b/0", "neither a name nor an address"),
        ("redis://-a", "neither a name nor an address"),
        ("redis://a,b:1", "neither a name nor an address"),
        ("redis://a:1,b:1", r"several hosts; write redis\+cluster"),
        ("rediss://a:1,b:1/0", "several hosts"),
        ("redis+cluster://", "empty host"),
        ("redis+cluster://a:1,", "empty host"),
        ("redis+cluster://a:1,A:1", "lists a:1 twice"),
        ("redis+cluster://a,a:6379", "lists a:6379 twice"),
        ("redis+cluster://[::1]:1,[0::1]:1", "twice"),
        ("redis+cluster://a:1/0", "only database 0"),
        ("redis+cluster://a:1?db=0", "unknown option 'db'; allowed: none"),
        ("redis+cluster://u:p@a:1,v:q@b:1", "more than one @"),
        ("redis+cluster://a:1?ssl_ca_certs=/ca", "unknown option"),
        ("redis+sentinel://a:1", "no name of the primary"),
        ("redis+sentinel://a:1/", "no name of the primary"),
        ("redis+sentinel://a:1//0", "no name of the primary"),
        ("redis+sentinel://a:1/0", "/NAME/0"),
        ("redis+sentinel://a:1/main/x", "whole number"),
        ("redis+sentinel://a:1/main/0/1", "whole number"),
        ("redis+sentinel://a:1/ma%20in", "the name 'ma in'"),
        ("redis+sentinel://a:1,a:1/main", "twice"),
        ("redis+sentinel://a:1/main?db=2", "unknown option"),
        ("redis://" + "a" * 64, "neither a name nor an address"),
        ("redis://127.1", "four numbers"),
        ("redis://0x7f.0.0.1.2", "four numbers"),
        ("redis://256.0.0.1", "four numbers"),
        ("redis://2130706433", "four numbers"),
        ("redis://h:0", "no usable port"),
        ("redis://h:65536", "no usable port"),
        ("redis://h:99999999999999999999", "no usable port"),
        ("redis://h:-1", "no usable port"),
        ("redis://:pa/ss@h", "an @ after the host"),
        ("redis://u:1/secret@h", "an @ after the host"),
        ("redis://u:1?secret@h", "an @ after the host"),
        ("redis://h:pass", "no usable port"),
        ("redis://h/2?db=", "without a value"),
        ("redis://h/?db", "without a value"),
        ("redis://h?db=1&db=2", "twice"),
        ("redis://h/1?db=2", "the database 1 and the database 2"),
        ("redis://h//2", "whole number"),
        ("redis://h/2/", "whole number"),
        ("redis://h/-1", "whole number"),
        ("redis://h/99999999999", "whole number"),
        ("redis://h/%31", "whole number"),
        ("redis://u:p@ss@h", "more than one @"),
        ("redis://u:p%zz@h", "two hex digits"),
        ("redis://u:%ff@h", "decode to UTF-8"),
        ("redis://u:a%00b@h", "NUL"),
        ("redis://h\n", "control character"),
        ("redis://h ost", "space"),
        ("redis://hö", "outside ASCII"),
        ("redis://[::1]x", r"\[::1\]"),
        ("redis://[::g]", r"\[::1\]"),
        ("redis://[127.0.0.1]", r"\[::1\]"),
        ("redis://::1", r"\[::1\]"),
        ("rediss://h?ssl_ca_certs=", "without a value"),
        ("rediss://h?ssl_ca_certs=/a+b", "%2B"),
        ("redis://h?ssl_ca_certs=/a", "unknown option 'ssl_ca_certs'"),
        ("redis://h?DB=1", "unknown option 'DB'"),
        ("unix://h/run/r.sock", "absolute path"),
        ("unix://:1/run/r.sock", "absolute path"),
        ("unix:///", "absolute path"),
        ("unix:///" + "a" * 108, "more than 107 bytes"),
    ],
)
def test_what_has_no_single_meaning_is_refused(url: str, problem: str) -> None:
    with pytest.raises(ValueError, match=problem):
        endpoint(url)


def refusal(text: str) -> str | None:
    """What the reader of settings says against it."""
    try:
        READERS["redis"]["url"].read(text)
    except ValueError as wrong:
        return str(wrong)
    return None


_PIECES = st.sampled_from(
    ["redis", "rediss", "+cluster", "+sentinel", ",",
     "unix", "://", ":", "/", "?", "&", "=", "#", "@", "%", "%40", "[", "]", "::1", "127.0.0.1",
     "h", "..", "-", "6379", "99999", "db", "ssl_ca_certs", "0", "2", " ", "\n", "ö", "\0", "\\"]
)  # fmt: skip


@given(st.one_of(st.text(), st.lists(_PIECES, max_size=12).map("".join)))
def test_any_text_is_an_address_with_one_meaning_or_a_mistake(text: str) -> None:
    wrong = refusal(text)
    if wrong is not None:
        # It may hold a password.
        assert len(text) < 6 or text not in wrong or wrong.endswith("redis+cluster:// or redis+sentinel://")
        return
    read = endpoint(text)
    again = endpoint(str(read))
    assert (again.host, again.port, again.path, again.tls) == (read.host, read.port, read.path, read.tls)
    assert read.tls or isinstance(RedisConfig(url=text).endpoint({}), Endpoint)


def test_the_password_file_is_read_at_each_login(tmp_path: Path) -> None:
    file = tmp_path / "password"
    file.write_text("first\n")
    server = RedisConfig(url="redis://u:ignored@h", password_file=str(file)).endpoint({})
    assert server.login() == ("u", "first")
    file.write_text("second\n")
    assert server.login() == ("u", "second")
    assert "second" not in repr(server) + str(server)


def test_a_user_without_a_password_is_not_dropped() -> None:
    assert endpoint("redis://u@h").login() == ("u", "")
    assert endpoint("redis://:p@h").login() == ("p",)
    assert endpoint("redis://h").login() == ()


@pytest.mark.parametrize("content", [None, "no certificate"])
def test_a_ca_file_that_cannot_be_used_is_a_mistake(tmp_path: Path, content: str | None) -> None:
    file = tmp_path / "ca.pem"
    if content is not None:
        file.write_text(content)
    with pytest.raises(Exception, match=r"redis\.url: .*ca\.pem"):
        RedisConfig(url=f"rediss://h?ssl_ca_certs={file}").endpoint({})


def test_a_plain_address_has_no_tls_context() -> None:
    assert endpoint("redis://h").context() is None
    assert isinstance(endpoint("rediss://h").context(), ssl.SSLContext)
