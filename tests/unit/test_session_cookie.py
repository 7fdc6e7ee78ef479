"""The cookie counts only in a request of which the browser says that the console's own page makes it."""

import pytest

from api.console.session_cookie import begin, check_origin, end, token_of
from api.http.problems import Problem

OWN = {b"sec-fetch-site": b"same-origin", b"host": b"kv.example.org", b"origin": b"https://kv.example.org"}
COOKIE = {b"cookie": b"__Host-tarantkv=a.b.c"}


def test_the_cookie_is_sent_only_to_its_host_and_hidden_from_scripts() -> None:
    for name, value in (begin("a.b.c"), end()):
        assert name == b"set-cookie"
        first, *attributes = value.split(b"; ")
        assert first.startswith(b"__Host-tarantkv=")
        assert {b"Path=/", b"Secure", b"HttpOnly", b"SameSite=Strict"} <= set(attributes)
        assert not [each for each in attributes if each.startswith(b"Domain")]
    assert b"Max-Age=0" in end()[1]


@pytest.mark.parametrize("method", ["GET", "HEAD", "POST", "PUT", "DELETE", "PATCH"])
def test_requests_of_the_consoles_page_are_accepted(method: str) -> None:
    assert token_of(method, {**OWN, **COOKIE}) == b"a.b.c"


@pytest.mark.parametrize(
    "fields",
    [
        {b"sec-fetch-site": b"cross-site"},
        {b"sec-fetch-site": b"same-site"},
        {b"sec-fetch-site": b"none"},
        {b"sec-fetch-site": b"same-origin, same-origin"},
        {b"origin": b"https://evil.example"},
        {b"origin": b"https://kv.example.org:8443"},
        {b"origin": b"https://kv.example.org.evil.example"},
        {b"origin": b"null"},
        {b"origin": b""},
        {b"origin": b"kv.example.org"},
        {b"origin": b"file://kv.example.org"},
        {b"host": b"other.example"},
    ],
    ids=str,
)
@pytest.mark.parametrize("method", ["GET", "POST"])
def test_requests_of_other_origins_are_refused(method: str, fields: dict[bytes, bytes]) -> None:
    with pytest.raises(Problem) as refused:
        token_of(method, {**OWN, **COOKIE, **fields})
    assert refused.value.kind.status == 403


@pytest.mark.parametrize(("missing", "method"), [(b"sec-fetch-site", "GET"), (b"origin", "POST"), (b"host", "POST")])
def test_requests_without_a_browsers_origin_headers_are_refused(missing: bytes, method: str) -> None:
    fields = {name: value for name, value in {**OWN, **COOKIE}.items() if name != missing}
    with pytest.raises(Problem) as refused:
        token_of(method, fields)
    assert refused.value.kind.status == 403


def test_a_reading_request_needs_no_origin_header() -> None:
    check_origin("GET", {name: value for name, value in OWN.items() if name != b"origin"})


@pytest.mark.parametrize(
    ("cookie", "token"),
    [
        (b"a=b; __Host-tarantkv=x.y.z; c=d", b"x.y.z"),
        (b"a=b, __Host-tarantkv=x.y.z", b"x.y.z"),
        (b"__Host-tarantkv=", None),
        (b"__Host-tarantkv", None),
        (b"tarantkv=x.y.z", None),
        (b"__host-tarantkv=x.y.z", None),
        (b"a=__Host-tarantkv=x.y.z", None),
        (b"__Host-tarantkv=x.y.z; __Host-tarantkv=u.v.w", None),
        (b"", None),
    ],
)
def test_the_token_is_read_from_exactly_one_cookie(cookie: bytes, token: bytes | None) -> None:
    if token is not None:
        assert token_of("GET", {**OWN, b"cookie": cookie}) == token
        return
    with pytest.raises(Problem) as refused:
        token_of("GET", {**OWN, b"cookie": cookie})
    assert refused.value.kind.status == 401
