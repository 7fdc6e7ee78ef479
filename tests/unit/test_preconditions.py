"""The headers of preconditions."""

from collections.abc import Callable

import pytest

from api.http.fields import Fields
from api.http.problems import Kind, Problem
from api.keys.preconditions import conditions, read_if


@pytest.mark.parametrize("read", [conditions, read_if])
@pytest.mark.parametrize("value", [b",%bx", b'"a",%bx', b'"a"%bx', b"%bx", b"W/%b"])
def test_a_header_of_many_blanks_is_refused_in_linear_time(read: Callable[[Fields], object], value: bytes) -> None:
    """A pattern that tries each division of the blanks takes hours for these."""
    with pytest.raises(Problem) as refused:
        read({b"if-match": value % (b" " * 1_000_000)})
    assert refused.value.kind is Kind.INVALID_HEADER


def test_blanks_around_tags_and_commas_are_ignored() -> None:
    asked = read_if({b"if-match": b' \t,  "a" \t,, W/"b",\t'})
    assert asked.match is not None
    assert [(tag.weak, tag.opaque) for tag in asked.match] == [(False, "a"), (True, "b")]
