"""The OpenAPI document's paths of users."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from api.http.problems import Kind
from api.ops.openapi_problems import problems
from api.ops.openapi_user_schemas import NAME

Document = dict[str, Any]

_HEADERS: Document = {"X-Request-Id": {"$ref": "#/components/headers/X-Request-Id"}}
_REQUEST_ID: Document = {"$ref": "#/components/parameters/X-Request-Id"}
_BOB: Document = {"name": "bob", "scopes": ["read"], "disabled": False}


def user_paths(kinds: Sequence[Kind]) -> Document:
    """The paths and their operations; `kinds` are the problems of every request with a token."""
    every = (*kinds, Kind.FORBIDDEN, Kind.DATABASE_REFUSED)
    of_one = (*every, Kind.USER_NOT_FOUND)
    change = (*of_one, Kind.USER_CHANGED, Kind.LAST_ADMINISTRATOR)
    return {
        "/api/users": {
            "get": {
                "operationId": "listUsers",
                "summary": "List users by name",
                "description": "The calls for users need the scope `admin`.",
                "parameters": [
                    _query("after", NAME, "Only users whose names come after this one."),
                    _query(
                        "limit",
                        {"type": "integer", "minimum": 1, "maximum": 500},
                        "The most users in the answer; 500 by default.",
                    ),
                    _REQUEST_ID,
                ],
                "responses": {
                    "200": _answer("A page of users.", "Users", {"users": [_BOB], "complete": True}),
                    **problems(every),
                },
            },
            "post": {
                "operationId": "addUser",
                "summary": "Add a user",
                "parameters": [_REQUEST_ID],
                "requestBody": _body(
                    "NewUser", {"name": "bob", "password": "correct horse battery staple", "scopes": ["read"]}
                ),
                "responses": {
                    "201": _answer("Added.", "User", _BOB),
                    **problems([*every, Kind.USER_EXISTS, Kind.USER_CHANGED]),
                },
            },
        },
        "/api/users/{name}": {
            "parameters": [
                {
                    "name": "name",
                    "in": "path",
                    "required": True,
                    "schema": NAME,
                    "example": "bob",
                    "description": "The user's name.",
                }
            ],
            "get": {
                "operationId": "getUser",
                "summary": "Show one user",
                "parameters": [_REQUEST_ID],
                "responses": {"200": _answer("The user.", "User", _BOB), **problems(of_one)},
            },
            "patch": {
                "operationId": "changeUser",
                "summary": "Change one user",
                "description": "The last enabled user with the scope `admin` must keep it and cannot be disabled.",
                "parameters": [_REQUEST_ID],
                "requestBody": _body("UserChange", {"disabled": True}),
                "responses": {
                    "200": _answer("The user after the change.", "User", {**_BOB, "disabled": True}),
                    **problems(change),
                },
            },
            "delete": {
                "operationId": "removeUser",
                "summary": "Remove one user",
                "description": "The last enabled user with the scope `admin` cannot be removed.",
                "parameters": [_REQUEST_ID],
                "responses": {"200": _answer("Removed.", "Success", {"status": "success"}), **problems(change)},
            },
        },
    }


def _answer(description: str, schema: str, example: Document) -> Document:
    return {"description": description, "headers": _HEADERS, "content": _both(schema, example)}


def _body(schema: str, example: Document) -> Document:
    return {"required": True, "content": _both(schema, example)}


def _both(schema: str, example: Document) -> Document:
    reference = {"$ref": f"#/components/schemas/{schema}"}
    return {"application/json": {"schema": reference, "example": example}, "application/msgpack": {"schema": reference}}


def _query(name: str, schema: Document, description: str) -> Document:
    return {"name": name, "in": "query", "schema": schema, "description": description}
