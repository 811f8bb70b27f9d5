"""Describe the API as OpenAPI 3.1, from the routes and their structs, in a fixed order.

There is no second list. The reference page, the checked-in copy and the contract tests are all made from this.
"""

import sys
from collections.abc import Mapping, Sequence
from typing import Any, Final

import msgspec

from witnd import __version__
from witnd.app.invoices.exports import ISSUED
from witnd.web.api.spec.schemas import REF, Schemas
from witnd.web.errors import CODES
from witnd.web.http.route import JSON, Listing, Route

_METHODS: Final = ("GET", "HEAD", "POST", "PUT", "PATCH", "DELETE")
# What each refusal means to a client, and what it should do. The reference page has an anchor for each.
MEANINGS: Final[Mapping[str, str]] = {
    "VALIDATION_ERROR": "The request is invalid. `details` lists every mistake with its path. Correct them, then "
    "send it again.",
    "TOKEN_INVALID": "The token is missing, unknown or revoked. Send `Authorization: Bearer <token>`; "
    "`witnd tokens create` creates a token.",
    "FORBIDDEN": "The token does not have the scope that this operation needs.",
    "NOT_FOUND": "The key or path does not exist.",
    "METHOD_NOT_ALLOWED": "The path does not support this method. The header `Allow` lists the supported ones.",
    "REQUEST_TIMEOUT": "The body did not arrive in time.",
    "CONFLICT": "The resource already exists, was changed concurrently, or has a state that does not allow the "
    "operation. Read it again.",
    "PRECONDITION_FAILED": "The resource changed since you read it: its version does not match `If-Match`. "
    "Read it again and repeat your change.",
    "PAYLOAD_TOO_LARGE": "The body is too large. Send less at a time.",
    "UNSUPPORTED_MEDIA_TYPE": "The operation does not support the `Content-Type` of the body, or the body "
    "has a `Content-Encoding`.",
    "RATE_LIMITED": "The token exceeded its rate limit. Retry after the number of seconds in `Retry-After`.",
    "INTERNAL_ERROR": "An internal error. See the server log for this `request_id`.",
    "UNAVAILABLE": "Redis is unavailable. The change may or may not have been made. Retry after the number of "
    "seconds in `Retry-After`. Events with an `idempotency_key` count once.",
}
_EVERYWHERE: Final = ("VALIDATION_ERROR", "INTERNAL_ERROR", "UNAVAILABLE")
_WITH_TOKEN: Final = ("TOKEN_INVALID", "FORBIDDEN", "RATE_LIMITED")
_WITH_BODY: Final = ("REQUEST_TIMEOUT", "PAYLOAD_TOO_LARGE", "UNSUPPORTED_MEDIA_TYPE")
_KEY: Final[dict[str, Any]] = {"type": "string", "minLength": 1, "maxLength": 255, "pattern": "^[!#-~]+$"}
_TAGS: Final[dict[str, Any]] = {"type": "string", "pattern": r'^(\*|"[!#-~]*"(, ?"[!#-~]*")*)$'}
_KEY_OF_CHANGE: Final = "witnd executes requests with the same key once, and repeats the response for 24 hours."
_KEY_OF_EVENT: Final = "The `idempotency_key` of the event. For a batch, witnd derives the keys of its events from it."
_EXPECTED: Final = "The `ETag` of the version that you read. If it has changed since, the response is 412."
_ETAG: Final[dict[str, Any]] = {
    "description": "The version in effect. Send it as `If-Match` with a change.",
    "schema": {"type": "string"},
}
_REPLAYED: Final[dict[str, Any]] = {
    "description": "Present if this is the stored answer to an earlier request with the same `Idempotency-Key`.",
    "schema": {"type": "string", "enum": ["true"]},
}
_DESCRIPTION: Final = (
    "Send events; read outcomes, deliveries and invoices. Lists return `data` and `next_cursor`; pass the cursor as "
    "`after` to get the next page. Instants are UTC, amounts are decimal strings. Every error has the form "
    "`ErrorAnswer`."
)


def document(routes: Sequence[Route]) -> dict[str, Any]:
    """Return the whole document. It does not depend on the order in which modules are imported."""
    routes = sorted(routes, key=lambda one: (one.path, _METHODS.index(one.method)))
    schemas = Schemas(routes)
    paths: dict[str, dict[str, Any]] = {}
    for one in routes:
        paths.setdefault(one.path, {})[one.method.lower()] = _operation(one, schemas)
    tags = {tag_of(one): _first_line(sys.modules[one.handler.__module__].__doc__) for one in routes}
    return {
        "openapi": "3.1.0",
        "info": {
            "title": "witnd",
            "version": __version__,
            "summary": "Outcome-based billing: buyers pay for results.",
            "description": _DESCRIPTION,
        },
        "servers": [{"url": "/"}],
        "tags": [{"name": name, "description": says} for name, says in sorted(tags.items())],
        "paths": paths,
        "components": {
            "schemas": schemas.components,
            "responses": {code: _refusal(code) for code in sorted(CODES)},
            "headers": {
                "X-Request-Id": {
                    "description": "The id of the request in the log.",
                    "schema": {"type": "string", "pattern": "^[0-9a-f]{32}$"},
                }
            },
            "securitySchemes": {
                "token": {
                    "type": "http",
                    "scheme": "bearer",
                    "description": "A token with the scope of the call. `billing` includes `read`, `admin` all.",
                }
            },
        },
    }


def text(routes: Sequence[Route]) -> bytes:
    """Return the document as served and checked in, one member per line for readable diffs."""
    return msgspec.json.format(msgspec.json.encode(document(routes)), indent=2) + b"\n"


def tag_of(one: Route) -> str:
    """Return the resource of a route: the name of its module."""
    return one.handler.__module__.rpartition(".")[2].replace("_", "-")


def _operation(one: Route, schemas: Schemas) -> dict[str, Any]:
    operation: dict[str, Any] = {
        "operationId": f"{tag_of(one)}.{one.handler.__name__}",
        "tags": [tag_of(one)],
        "summary": one.says,
    }
    # What is said of a query stands with the call: it is no object that anything else refers to.
    about = None if one.query in (None, Listing) else one.query.__doc__
    needs = None if one.scope is None else f"Needs a token with the scope `{one.scope}`."
    if about or needs:
        operation["description"] = " ".join(" ".join(part.split()) for part in (about, needs) if part)
    operation["security"] = [] if one.scope is None else [{"token": [one.scope]}]
    if one.scope is not None:
        operation["x-scope"] = one.scope
    if parameters := _parameters(one, schemas):
        operation["parameters"] = parameters
    if one.body is not None:
        bodies = {kind: one.bodies.get(kind, one.body) for kind in one.content_types if kind}
        content = {kind: {"schema": schemas.of(body)} for kind, body in bodies.items()}
        operation["requestBody"] = {"required": not one.optional_body, "content": content}
    operation["responses"] = _responses(one, schemas)
    return operation


def _parameters(one: Route, schemas: Schemas) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = [
        {"name": name, "in": "path", "required": True, "schema": {"type": "string", "minLength": 1}}
        for name in one.names
    ]
    found += _header_parameters(one)
    for name, required, member in () if one.query is None else schemas.members(one.query):
        schema = _given(member)
        says = schema.pop("description", None)
        parameter = {"name": name, "in": "query", "required": required, "schema": schema}
        found.append(parameter | ({"description": says} if says else {}))
    return found


def _header_parameters(one: Route) -> list[dict[str, Any]]:
    found = []
    if one.changes:
        found.append(_header("Idempotency-Key", _KEY, _KEY_OF_CHANGE))
    elif one.scope == "ingest":
        found.append(_header("Idempotency-Key", _KEY, _KEY_OF_EVENT))
    if one.has_versions:
        found.append(_header("If-Match", _TAGS, _EXPECTED))
    return found


def _header(name: str, schema: dict[str, Any], says: str) -> dict[str, Any]:
    return {"name": name, "in": "header", "required": False, "schema": schema, "description": says}


def _given(schema: dict[str, Any]) -> dict[str, Any]:
    """Return the schema of a parameter without null, which a query string cannot contain."""
    schema = dict(schema)
    if schema.get("default", 0) is None:
        del schema["default"]
    left: list[dict[str, Any]] = [one for one in schema.get("anyOf", ()) if one != {"type": "null"}]
    if len(left) == 1:
        return {name: it for name, it in schema.items() if name != "anyOf"} | left[0]
    return schema | {"anyOf": left} if left else schema


def _responses(one: Route, schemas: Schemas) -> dict[str, Any]:
    success: dict[str, Any] = {
        "description": _first_line(one.answer.__doc__) if isinstance(one.answer, type) and one.answer.__doc__ else "OK",
        "headers": {"X-Request-Id": {"$ref": "#/components/headers/X-Request-Id"}},
    }
    if one.changes:
        success["headers"]["Idempotency-Replayed"] = _REPLAYED
    if one.has_versions:
        success["headers"]["ETag"] = _ETAG
    if one.status != 204:
        schema = schemas.of(one.answer) if one.answer is not None else {}
        success["content"] = {
            kind: {"schema": schema if kind == JSON or kind.endswith("+json") else {"type": "string"}}
            for kind in (one.answer_type, *one.more_types)
        }
        if ISSUED in one.more_types:
            success["content"][ISSUED] = {"schema": {"type": "object"}}  # another form than that of the answer
    by_status: dict[int, list[str]] = {}
    for code in refusals(one):
        by_status.setdefault(CODES[code].status, []).append(code)
    found = {str(one.status): success}
    for status, codes in sorted(by_status.items()):
        # No two codes have one status; should two come to, the answer is of one form all the same.
        found[str(status)] = {"$ref": f"#/components/responses/{codes[0]}"}
    return found


def refusals(one: Route) -> list[str]:
    """Return every error code of a route, ordered by status."""
    codes = {*_EVERYWHERE, *one.refusals}
    if one.scope is not None:
        codes.update(_WITH_TOKEN)
    if one.changes:
        codes.add("CONFLICT")  # by its Idempotency-Key
    if one.has_versions:
        codes.add("PRECONDITION_FAILED")
    if one.names:
        codes.add("NOT_FOUND")
    if one.body is not None:
        codes.update(_WITH_BODY)
    return sorted(codes, key=lambda code: (CODES[code].status, code))


def _refusal(code: str) -> dict[str, Any]:
    headers: dict[str, Any] = {"X-Request-Id": {"$ref": "#/components/headers/X-Request-Id"}}
    if code in ("RATE_LIMITED", "UNAVAILABLE"):
        headers["Retry-After"] = {
            "required": True,
            "description": "Seconds to wait before the same request is sent again.",
            "schema": {"type": "integer", "minimum": 1},
        }
    if code == "TOKEN_INVALID":
        headers["WWW-Authenticate"] = {"required": True, "schema": {"type": "string"}}
    return {
        "description": f"`{code}`: {MEANINGS[code]}",
        "headers": headers,
        "content": {"application/json": {"schema": {"$ref": REF.format(name="ErrorAnswer")}}},
    }


def _first_line(words: str | None) -> str:
    return " ".join((words or "").strip().partition("\n\n")[0].split())
