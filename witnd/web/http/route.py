"""Routes: a method, a path, a handler and its documentation.

A handler is `async def handler(call: Call) -> answer`, found by `@route(…)`. What it declares is what is decoded,
checked and documented: there is no second list.
"""

from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from typing import TYPE_CHECKING, Annotated, Any, Final, Generic, Literal, NamedTuple, TypeAlias, TypeVar

import msgspec
from msgspec import Meta, Struct

from witnd.app.errors import Refused, invalid
from witnd.domain.values.strictjson import BYTES_MAX, Invalid, document
from witnd.store.access.change_log import Author
from witnd.web.errors import from_msgspec

if TYPE_CHECKING:
    from witnd.app.daemon_services import DaemonServices
    from witnd.store.access.tokens import Token

Scope: TypeAlias = Literal["ingest", "read", "billing", "admin"]
JSON: Final = "application/json"
MOST_LISTED: Final = 100
# A condition of 16 levels, each an object with a list, in an agent.
DEEPEST: Final = 40

Q = TypeVar("Q")


class Listing(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Parameters of every list. `after` is the `next_cursor` of the previous page."""

    limit: Annotated[
        int,
        Meta(description="Maximum entries of a page.", extra_json_schema={"minimum": 1, "maximum": MOST_LISTED}),
    ] = 50
    after: Annotated[str | None, Meta(description="The `next_cursor` of the previous page.")] = None


class Raw(Struct, frozen=True):
    """A response that is not JSON. `headers` are added to it. `status` overrides the status of the route."""

    body: bytes
    content_type: str
    headers: dict[str, str] = {}
    status: int | None = None


class HtmlErrors(NamedTuple):
    """How errors are shown to people: for paths with `prefix`, `render` builds the page."""

    prefix: str
    render: Callable[[Refused, str], Raw]  # the refusal and the id of the request


class Stream(Struct, frozen=True):
    """A response that is generated while it is sent, because it may be larger than memory.

    What goes wrong before the first part is refused as ever; afterwards the connection is broken off, so that nobody
    takes a part of the answer for the whole.
    """

    parts: AsyncIterator[str | bytes]
    content_type: str
    headers: dict[str, str] = {}


class Route(Struct, frozen=True, kw_only=True):
    """`scope` None: no token is required. `body` and `query` are structs; `answer` is the struct of a success."""

    method: str
    path: str
    handler: Callable[["Call[Any]"], Awaitable[Any]]
    says: str
    scope: Scope | None
    status: int = 200
    body: Any = None
    query: Any = None
    answer: Any = None
    most_bytes: int = BYTES_MAX  # strict JSON is never larger
    content_types: tuple[str, ...] = (JSON,)
    # What bodies of other content types hold, where that is something else than `body`.
    bodies: dict[str, Any] = {}
    answer_type: str = JSON
    # Whether the body may be left out.
    optional_body: bool = False
    # Other content types that it may answer with, as `?format=csv` does.
    more_types: tuple[str, ...] = ()
    # Whether it changes a thing with versions, so that `If-Match` is honoured.
    has_versions: bool = False
    # Whether carrying it out again, with the same `Idempotency-Key`, does nothing more.
    repeatable: bool = False
    # Codes of refusals that are this route's own, beside those every route may have.
    refusals: tuple[str, ...] = ()

    @property
    def changes(self) -> bool:
        """Return whether it makes a change that `Idempotency-Key` protects. Events have their own keys."""
        return self.method != "GET" and self.scope in ("billing", "admin")

    @property
    def names(self) -> tuple[str, ...]:
        """Return the names in the path: `/v1/events/{partition}/{id}` has two."""
        return tuple(part[1:-1] for part in self.path.split("/") if part.startswith("{"))


class Call(Generic[Q]):
    """A request. `path` has the decoded names of the path, `query` the route's query struct. `target`: the request
    target as received. `answer_headers` are added to a success."""

    __slots__ = (
        "answer_headers", "content_type", "data", "headers", "path", "query", "request_id", "route", "services",
        "target", "token",
    )  # fmt: skip

    def __init__(
        self,
        services: "DaemonServices",
        route: Route,
        path: dict[str, str],
        query: Q,
        data: bytes,
        token: "Token | None",
        request_id: str,
        content_type: str,
        headers: Any,
        target: str = "",
    ) -> None:
        self.services = services
        self.route = route
        self.path = path
        self.query = query
        self.data = data
        self.token = token
        self.request_id = request_id
        self.content_type = content_type
        self.headers = headers
        self.target = target
        self.answer_headers: dict[str, str] = {}

    @property
    def who(self) -> str:
        """Return the author of the request for the change log."""
        return "nobody" if self.token is None else f"token {self.token.name}"

    @property
    def author(self) -> Author:
        """Return the author and the interface for an entry of the change log."""
        return Author(
            who=self.who,
            source="dashboard" if self.route.path.startswith("/dashboard") else "api",
            token_id=None if self.token is None else self.token.id,
            request_id=self.request_id,
        )

    def document(self) -> dict[str, Any]:
        """Return the body as a strict JSON object, which the domain validates."""
        try:
            return document(self.data, most=self.route.most_bytes, deepest=DEEPEST)
        except Invalid as wrong:
            raise invalid("", f"body {wrong}") from None

    def body(self) -> Any:
        """Return the body as the route's struct; its defaults if it may be left out."""
        if not self.data and self.route.optional_body:
            return self.route.body()
        self.document()  # duplicate names and depth, which the decoder would pass over
        try:
            return msgspec.json.decode(self.data, type=self.route.body)
        except msgspec.MsgspecError as wrong:
            raise from_msgspec(wrong) from None

    def page(self) -> tuple[int, str | None]:
        """Return `limit` and `after` of a list."""
        query: Any = self.query
        if not 1 <= query.limit <= MOST_LISTED:
            raise invalid("limit", f"must be from 1 to {MOST_LISTED}")
        return query.limit, query.after


Handler: TypeAlias = Callable[[Call[Any]], Awaitable[Any]]
ROUTES: Final[list[Route]] = []


def route(method: str, path: str, *, says: str, scope: Scope | None, **more: Any) -> Callable[[Handler], Handler]:
    """Register the decorated function as the handler of a method and path. `more` are the other fields of `Route`."""

    def known(handler: Handler) -> Handler:
        ROUTES.append(Route(method=method, path=path, handler=handler, says=says, scope=scope, **more))
        return handler

    return known


class Table:
    """Find routes: by the whole path if it contains no names, else part by part."""

    def __init__(self, routes: list[Route]) -> None:
        self._plain: dict[str, dict[str, Route]] = {}
        by_shape: dict[str, tuple[list[str], dict[str, Route]]] = {}
        for one in routes:
            if not one.names:
                self._plain.setdefault(one.path, {})[one.method] = one
                continue
            parts = one.path.split("/")
            shape = "/".join("{}" if part.startswith("{") else part for part in parts)
            by_shape.setdefault(shape, (parts, {}))[1][one.method] = one
        self._named = list(by_shape.values())
        # A key may be a word of a plain path: `/v1/agents/try` is where one is tried, and the agent of that name.
        for path, methods in self._plain.items():
            self._plain[path] = {**self._among_named(path.split("/")), **methods}

    def methods(self, path: str) -> tuple[dict[str, Route], list[str]]:
        """Return the routes of a path by method, with the path's parts; empty for an unknown path."""
        parts = path.split("/")
        return self._plain.get(path) or self._among_named(parts), parts

    def _among_named(self, parts: list[str]) -> dict[str, Route]:
        for known, methods in self._named:
            if len(known) == len(parts) and all(_fits(a, b) for a, b in zip(known, parts, strict=True)):
                return methods
        return {}


def names_in(route_: Route, parts: list[str]) -> Iterator[tuple[str, str]]:
    """Return the names of a route's path with their values, not decoded."""
    for known, part in zip(route_.path.split("/"), parts, strict=False):
        if known.startswith("{"):
            yield known[1:-1], part


def _fits(known: str, part: str) -> bool:
    return known == part or (known.startswith("{") and bool(part))
