"""Formats of other programs become lines of the api, and the client knows the rules by which the api rejects lines."""

import base64
import io
import json
import random
from typing import Any

import pytest
from tarantkv.cli.exits import UsageError
from tarantkv.cli.foreign import array_elements, dynamodb, wrangler
from tarantkv.cli.formats import Options, Reader, Record, comma_separated, ndjson, pairs, reader_of
from tarantkv.cli.rejects import why_rejected

from tests.contract.calls import Api

NDJSON = {"content-type": "application/x-ndjson"}


def read(reader: Reader, content: bytes | str, **options: Any) -> list[Record]:
    return list(reader(io.BytesIO(content.encode() if isinstance(content, str) else content), Options(**options)))


def members(records: list[Record]) -> list[Any]:
    return [json.loads(record.line) if record.why is None else record.why[0] for record in records]


def test_lines_are_sent_unchanged_with_their_end_positions() -> None:
    content = b'{"key": "a", "value": 1.0}\r\n\nbad\n{"key": "b"}'
    records = read(ndjson, content)
    assert b"".join(record.line for record in records) == content
    assert [record.end for record in records] == [28, 29, 33, len(content)]


@pytest.mark.parametrize(
    ("last", "why"),
    [
        ("", "export_incomplete"),
        ('{"cursor": "d", "items": 2}\n', "export_incomplete"),
        ('{"end": true, "items": 1}\n', None),
        ('{"error": {}, "cursor": "d"}\n', None),
    ],
)
def test_an_export_that_was_cut_off_is_not_taken_for_whole(last: str, why: str | None) -> None:
    text = '{"key": "a", "value": 1}\n{"cursor":"c","items":1}\n{"key": "b", "value": 1}\n' + last
    *_, end = ndjson(io.BytesIO(text.encode()), Options())
    assert (end.why and end.why[0]) == why


def test_a_byte_order_mark_is_no_part_of_the_first_line() -> None:
    text = b'{"key": "a", "value": 1}\n'
    one, other = ndjson(io.BytesIO(b"\xef\xbb\xbf" + text * 2), Options())
    assert (one.line, one.end, other.line) == (text, len(text) + 3, text)


def test_lines_get_the_common_options_unless_they_have_their_own() -> None:
    content = '{"key": "a", "value": 1}\n{"key": "b", "value": 2, "expires_at": 9}\n{"end": true, "items": 2}\nbad\n'
    first, second, end, bad = read(ndjson, content, ttl=60.0, if_absent=True)
    assert json.loads(first.line) == {"key": "a", "value": 1, "ttl": 60.0, "if": "absent"}
    assert json.loads(second.line) == {"key": "b", "value": 2, "expires_at": 9, "if": "absent"}
    assert json.loads(end.line) == {"end": True, "items": 2}
    assert bad.line == b"bad\n"


def test_keys_are_made_of_csv_columns() -> None:
    content = '\ufeffid,region,name,note\r\n1,eu,"Ada, L.","two\nlines"\r\n2,us,Grace,\r\n3,us\r\n'
    assert members(read(comma_separated, content, keys=("region", "id"))) == [
        {"key": "eu:1", "value": {"name": "Ada, L.", "note": "two\nlines"}},
        {"key": "us:2", "value": {"name": "Grace", "note": ""}},
        "invalid_line",
    ]
    assert members(read(comma_separated, "key,value\na,1\n")) == [{"key": "a", "value": "1"}]
    with pytest.raises(UsageError, match="--key"):
        read(comma_separated, "a,b\n1,2\n")


@pytest.mark.parametrize(
    ("reader", "content", "said"),
    [
        (comma_separated, "key,value\nä,1\n".encode("latin-1"), "not UTF-8"),
        (comma_separated, '"key,value\na,1\n', "header"),
        (comma_separated, "key,a,a\nx,1,2\n", "the column 'a' more than once"),
        (wrangler, "[" + "[" * 5000 + "]" * 5000 + "]", "nested too deeply"),
    ],
)
def test_an_input_that_cannot_be_read_gives_a_clear_error(reader: Reader, content: bytes | str, said: str) -> None:
    with pytest.raises(UsageError, match=said):
        read(reader, content)


def test_only_the_line_with_a_dynamodb_number_that_cannot_be_kept_is_rejected() -> None:
    lines = [{"Item": {"pk": {"S": digits}, "n": {"N": digits}}} for digits in ("1e999999999", "1")]
    content = "".join(json.dumps(line) + "\n" for line in lines)
    assert members(read(dynamodb, content, keys=("pk",))) == [
        "invalid_value",
        {"key": "1", "value": {"n": 1}},
    ]


def test_files_of_wrangler_are_read() -> None:
    elements = [
        {"key": "a", "value": "x", "expiration": 4102444800, "metadata": {"m": 1}},
        {"key": "b", "value": base64.b64encode(b"\xff").decode(), "base64": True, "expiration_ttl": 60},
        {"key": "c", "value": "!", "base64": True},
        {"name": "d"},
    ]
    assert members(read(wrangler, json.dumps(elements))) == [
        {"key": "a", "value": "x", "expires_at": 4102444800},
        {"key": "b", "value_msgpack": "xAH/", "ttl": 60},
        "invalid_value",
        "invalid_line",
    ]


class Dripping(io.BytesIO):
    """A file that returns only a few bytes at a time."""

    def read(self, size: int | None = -1) -> bytes:
        return super().read(min(7, size or 7))


@pytest.mark.parametrize("indent", [None, 2])
def test_an_array_is_read_piece_by_piece(indent: int | None) -> None:
    rng = random.Random(4)
    elements = [{"key": "é" * rng.randrange(5) + "\U0001f600", "value": [n, "]", '"', {"a": "[,"}]} for n in range(40)]
    text = json.dumps(elements, indent=indent, ensure_ascii=False)
    assert list(array_elements(io.BytesIO(text.encode()))) == elements
    assert list(array_elements(Dripping(text.encode()))) == elements
    assert list(array_elements(io.BytesIO(b" [ ] "))) == []


@pytest.mark.parametrize("content", ["", "{}", "[1, 2", '["a', "[1 2]x", b"\xff"])
def test_the_error_says_that_a_file_is_not_an_array(content: bytes | str) -> None:
    with pytest.raises(UsageError):
        list(array_elements(io.BytesIO(content.encode() if isinstance(content, str) else content)))


def test_exports_of_dynamodb_are_read() -> None:
    item = {
        "pk": {"S": "user"},
        "sk": {"N": "42"},
        "ends": {"N": "4102444800"},
        "all": {"M": {"l": {"L": [{"BOOL": True}, {"NULL": True}, {"N": "1.5"}]}, "b": {"BS": ["/w=="]}}},
        "set": {"SS": ["a", "b"]},
    }
    lines = [json.dumps({"Item": item}), "", json.dumps({"Item": {"pk": {"S": "x"}}}), "bad"]
    lines.append(json.dumps({"Item": {"pk": {"S": "x"}, "sk": {"N": "0.12345678901234567890123"}}}))
    found = read(dynamodb, "\n".join(lines), keys=("pk", "sk"), ttl_attribute="ends")
    assert json.loads(found[0].line)["key"] == "user:42"
    assert json.loads(found[0].line)["expires_at"] == 4102444800
    assert found[1].line == b"\n"
    assert [record.why and record.why[0] for record in found[2:]] == ["invalid_line", "invalid_value", "invalid_value"]
    with pytest.raises(UsageError, match="--key"):
        read(dynamodb, "{}")


def test_pairs_of_lines_from_redis_cli_are_read() -> None:
    assert members(read(pairs, b"a\n1\nb\n\xff\n\xff\n1\n")) == [
        {"key": "a", "value": "1"},
        {"key": "b", "value_msgpack": "xAH/"},
        "invalid_key",
    ]


@pytest.mark.parametrize(
    ("name", "asked", "found"),
    [
        ("a.ndjson", None, "ndjson"),
        ("a", None, "ndjson"),
        ("a.csv.gz", None, "csv"),
        ("a.json", None, "wrangler"),
        ("x.json.gz", None, "dynamodb"),
        ("a.csv", "pairs", "pairs"),
    ],
)
def test_the_name_of_a_file_decides_its_format(name: str, asked: str | None, found: str) -> None:
    assert reader_of(name, asked)[0] == found


LINES = [
    '{"key": "PREFIXa", "value": 1}',
    '{"key": "PREFIXb", "value": null, "ttl": 1, "if": "absent", "version": "x"}',
    '{"key": "PREFIXc", "value_msgpack": "AQ=="}',
    '{"cursor": "x", "items": 1}',
    '{"end": true, "items": 1}',
    "   ",
    "bad",
    "[]",
    "{}",
    '{"error": {}, "cursor": "x"}',
    '{"key": 1, "value": 1}',
    '{"key": "PREFIXd"}',
    '{"key": "PREFIXd", "value": 1, "value_msgpack": "AQ=="}',
    '{"key": "PREFIXd", "value": 1, "other": 1}',
    '{"key": "", "value": 1}',
    '{"key": "PREFIX' + "x" * 1020 + '", "value": 1}',
    '{"key": "PREFIXd", "value": NaN}',
    '{"key": "PREFIXd", "value": 18446744073709551616}',
    '{"key": "PREFIXd", "value": "\\ud800"}',
    '{"key": "PREFIXd", "value": 1, "ttl": 0}',
    '{"key": "PREFIXd", "value": 1, "ttl": 1, "expires_at": 1}',
    '{"key": "PREFIXd", "value": 1, "expires_at": "x"}',
    '{"key": "PREFIXd", "value": "' + "x" * 600_000 + '"}',
    *(
        f'{{"key": "PREFIX{n}", "value_msgpack": {text}}}'
        for n, text in enumerate(('"AQ"', '"AQE="', '""', '"wQ=="', "5"))
    ),
    *(
        f'{{"key": "PREFIX{n}", "value": 1, {more}}}'
        for n, more in enumerate(
            (
                *('"if": "present"', '"if": 5', '"version": 5', '"version": null', '"items": 1', '"error": null'),
                *(
                    f'"ttl": {ttl}'
                    for ttl in ('"60"', "true", "[]", "315360000", "315360001", '"keep"', "1e400", "null")
                ),
                *(f'"expires_at": {at}' for at in ("null", "1e300", "253402300800", "-5", "{}")),
            )
        )
    ),
    *(f'{{"key": "PREFIXe", "value": {value}}}' for value in ("1e400", "[" * 129 + "]" * 129)),
    f'{{"key": "PREFIXf", "value": {"[" * 128 + "]" * 128}}}',
    *('{"error": null}', '{"cursor": 5}', '{"end": 5}', '{"cursor": "x", "items": "5"}', '{"cursor": "x", "foo": 1}'),
    '\ufeff{"key": "PREFIXg", "value": 1}',
    '{"key": "PREFIX\\ud800", "value": 1}',
    "\x0c",
]


def test_the_client_knows_which_lines_the_api_rejects(api: Api, prefix: str) -> None:
    lines = [line.replace("PREFIX", prefix) for line in LINES]
    answer = api.post("import", "\n".join(lines).encode(), NDJSON).json()
    rejected = {each["line"]: each["code"] for each in answer["rejected"]}
    found = {number: why_rejected(line.encode()) for number, line in enumerate(lines, 1)}
    assert answer["rejected_more"] == 0
    codes = {number: why[0] for number, why in found.items() if why is not None}
    assert codes.keys() == rejected.keys()
    # The order differs if two rules are broken at once.
    differing = {lines[number - 1] for number, code in codes.items() if code != rejected[number]}
    assert all("\\ud800" in line or "1e400" in line for line in differing), differing
