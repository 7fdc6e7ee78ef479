"""The part of the HTTP contract that the peers share: login, the token check, and the shape of a batch.

Tokens are verified once and remembered until they expire, as a good author would do: verifying one with PyJWT costs
about as much as the rest of a small request.
"""

from __future__ import annotations

import os
import secrets
import time
from collections.abc import Awaitable, Callable
from contextlib import AbstractAsyncContextManager
from functools import lru_cache
from typing import Any

import jwt
import orjson
from argon2 import PasswordHasher
from argon2.exceptions import VerificationError
from fastapi import Depends, FastAPI, HTTPException, Request, Response

MAX_KEYS = 10_000
MAX_KEY_LENGTH = 1024
TOKEN_TTL_S = 3600
JSON = "application/json"

Lifespan = Callable[[FastAPI], AbstractAsyncContextManager[None]]

_SECRET = os.environ.get("PEER_JWT_SECRET", "")
_USER = os.environ.get("PEER_USER", "")
_hasher = PasswordHasher()
_password_hash = _hasher.hash(os.environ.get("PEER_USER_PASSWORD", secrets.token_hex()))


@lru_cache(maxsize=10_000)
def _expiry(token: str) -> float:
    """When a token expires (Unix time). Raises `jwt.InvalidTokenError` if it was not issued here."""
    claims = jwt.decode(token, _SECRET, algorithms=["HS256"], options={"require": ["sub", "exp"]})
    return float(claims["exp"])


async def authenticated(request: Request) -> None:
    """A dependency: refuses a request without a valid token."""
    header = request.headers.get("authorization", "")
    try:
        if _expiry(header.removeprefix("Bearer ")) > time.time():
            return
    except jwt.InvalidTokenError:
        pass
    raise HTTPException(401, "the token is not valid")


def _check_keys(keys: Any) -> None:
    if not 0 < len(keys) <= MAX_KEYS:
        raise HTTPException(400, "too few or too many keys")
    for key in keys:
        if type(key) is not str or not 0 < len(key) <= MAX_KEY_LENGTH:
            raise HTTPException(400, "a key is no string, or too long")


async def pairs_of(request: Request) -> dict[str, Any]:
    """The pairs of a write."""
    try:
        data = orjson.loads(await request.body())["data"]
    except (orjson.JSONDecodeError, KeyError, TypeError) as error:
        raise HTTPException(400, "malformed body") from error
    if type(data) is not dict:
        raise HTTPException(400, "data is no object")
    _check_keys(data)
    return data


async def keys_of(request: Request) -> list[str]:
    """The keys of a read."""
    try:
        keys = orjson.loads(await request.body())["keys"]
    except (orjson.JSONDecodeError, KeyError, TypeError) as error:
        raise HTTPException(400, "malformed body") from error
    if type(keys) is not list:
        raise HTTPException(400, "keys is no list")
    _check_keys(keys)
    return keys


def build(
    lifespan: Lifespan,
    write: Callable[[list[tuple[str, Any]]], Awaitable[None]],
    read: Callable[[list[str]], Awaitable[dict[str, Any]]],
) -> FastAPI:
    """The application; `write` takes pairs, `read` returns the values of those keys that exist."""
    app = FastAPI(lifespan=lifespan, openapi_url=None)
    success = orjson.dumps({"status": "success"})

    @app.get("/health/ready")
    async def ready() -> Response:
        return Response(b"{}", media_type=JSON)

    @app.post("/api/login")
    async def login(request: Request) -> Response:
        credentials = orjson.loads(await request.body())
        try:
            _hasher.verify(_password_hash, credentials["password"])
        except VerificationError as error:
            raise HTTPException(401, "the user name or the password is wrong") from error
        if credentials["username"] != _USER:
            raise HTTPException(401, "the user name or the password is wrong")
        claims = {"sub": _USER, "exp": int(time.time()) + TOKEN_TTL_S}
        return Response(orjson.dumps({"token": jwt.encode(claims, _SECRET, algorithm="HS256")}), media_type=JSON)

    # FastAPI does not encode a finished Response again; its encoding of return values is several times slower.
    @app.post("/api/write", dependencies=[Depends(authenticated)])
    async def write_batch(request: Request) -> Response:
        data = await pairs_of(request)
        await write(list(data.items()))
        return Response(success, media_type=JSON)

    @app.post("/api/read", dependencies=[Depends(authenticated)])
    async def read_batch(request: Request) -> Response:
        keys = await keys_of(request)
        data = await read(keys)
        content: dict[str, Any] = {"data": data}
        if len(data) < len(keys):
            missing = [key for key in dict.fromkeys(keys) if key not in data]
            if missing:
                content["not_found"] = missing
        return Response(orjson.dumps(content), media_type=JSON)

    return app
