"""Answers of the server: documents, and problem documents as errors."""

from __future__ import annotations

from typing import Any

from tarantkv.errors import ConnectionLostError, InternalError, TarantKVError, class_of
from tarantkv.wire import MSGPACK, Response, unpacked

LONGEST_DETAIL = 500


def document_of(response: Response) -> dict[str, Any]:
    """The document of a success.

    Raises:
        ConnectionLostError: it is damaged or incomplete.
        InternalError: it is not an answer of this api.
    """
    media_type = response.headers.get("content-type", "").partition(";")[0].strip()
    if media_type not in (MSGPACK, "application/json"):
        raise InternalError(f"what answers is not this api: {media_type or 'no media type'}", status=response.status)
    try:
        document = unpacked(response.body) if media_type == MSGPACK else _json(response.body)
    except (ValueError, RecursionError) as error:
        raise ConnectionLostError(f"the answer is damaged: {error}") from None
    if not isinstance(document, dict):
        raise InternalError("what answers is not this api", status=response.status)
    return document


def error_of(response: Response) -> TarantKVError:
    """Turn an answer that is not a success into an error."""
    try:
        problem = _json(response.body)
    except (ValueError, RecursionError):
        problem = None
    if not isinstance(problem, dict) or not isinstance(problem.get("type"), str):
        text = response.body[:LONGEST_DETAIL].decode("utf-8", "replace").strip()
        detail = f"HTTP {response.status}" + (f": {text}" if text else "")
        found = class_of(None, response.status)
        return found(detail, status=response.status, retry_after=retry_after_of(response))
    return error_of_problem(problem, response.status, retry_after_of(response))


def error_of_problem(problem: dict[str, Any], status: int, retry_after: float | None = None) -> TarantKVError:
    """Turn a problem document into an error."""
    found = class_of(TarantKVError(problem=problem).kind, status)
    title, detail = problem.get("title"), problem.get("detail")
    text = ": ".join(str(part) for part in (title, detail) if part)
    return found(text or f"HTTP {status}", problem=problem, status=status, retry_after=retry_after)


def retry_after_of(response: Response) -> float | None:
    """The seconds of `Retry-After`; None if it is missing or a date."""
    given = response.headers.get("retry-after", "").strip()
    return float(given) if given.isascii() and given.isdecimal() and len(given) <= 9 else None


def _json(body: bytes) -> Any:
    # Imported here, because most calls succeed, and answers are in MessagePack.
    import json

    return json.loads(body)
