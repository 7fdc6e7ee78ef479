"""An answer has one Cache-Control header: its own, or `no-store`."""

import pytest

from api.http.response import COMMON, Answer, Renderer, common

KEPT = ((b"cache-control", b"no-cache"), (b"etag", b'"x"'))


def rendered(answer: Answer, *, without_body: bool = False) -> tuple[list[bytes], bytes]:
    renderer = Renderer()
    renderer.set_date(0)
    pieces = renderer.render(answer, b"id", close=False, without_body=without_body)
    head, _, body = b"".join(pieces).partition(b"\r\n\r\n")
    return head.split(b"\r\n"), body


@pytest.mark.parametrize("status", [200, 304])
def test_an_answer_names_its_own_caching_once(status: int) -> None:
    lines, body = rendered(Answer(status, b"text/css", b"abc" if status == 200 else b"", KEPT))
    assert [line for line in lines if line.startswith(b"cache-control")] == [b"cache-control: no-cache"]
    assert b"x-content-type-options: nosniff" in lines
    assert (b"content-length: 3" in lines) == (status == 200)
    assert body == (b"abc" if status == 200 else b"")


def test_an_answer_to_head_has_the_length_but_no_body() -> None:
    lines, body = rendered(Answer(200, b"text/css", b"abc", KEPT), without_body=True)
    assert b"content-length: 3" in lines
    assert body == b""


def test_all_other_answers_must_not_be_stored() -> None:
    lines, _ = rendered(Answer(200, b"application/json", b"{}", ((b"etag", b'"x"'),)))
    assert b"cache-control: no-store" in lines
    assert common([(b"etag", b'"x"')]) == COMMON
