"""The single answer that every attack on tokens must get."""

from tests.contract.calls import PROBLEM, Api, json_body
from tests.contract.problems import assert_usable

BODY = json_body({"keys": ["contract:tokens"]})
FOREIGN = "an attacker's own secret, which is long enough"
REFUSAL = {
    "type": "urn:tarant-kv:problem:unauthorized",
    "title": "Valid credentials are needed",
    "status": 401,
    "detail": "the token is not valid",
    "request_id": "an-attack",
}
CHALLENGE = 'Bearer realm="tarant-kv"'


def refused(api: Api, token: str | bytes) -> None:
    """Check that the token gets this answer in both ways in which it may be sent."""
    raw = token.encode() if isinstance(token, str) else token
    for authorization in (b"Bearer " + raw, raw):
        headers = [(b"Authorization", authorization), (b"X-Request-Id", b"an-attack")]
        answer = api.http.post("/api/read", content=BODY, headers=headers)
        assert (answer.status_code, answer.json()) == (401, REFUSAL)
        assert answer.headers["www-authenticate"] == CHALLENGE
        assert answer.headers["content-type"] == PROBLEM
        assert_usable(api, answer)


def taken(api: Api, token: str) -> bool:
    return api.post("read", BODY, {"authorization": token}).status_code == 200
