"""The routes that every kind of the catalogue has: create, list, read, change, archive, restore, versions, compare."""

from collections.abc import Awaitable, Callable, Sequence
from typing import Any

from msgspec import Struct

from witnd.app.catalogue.change import Written
from witnd.app.catalogue.read import Kind, Thing
from witnd.domain.catalogue.catalogue import CatalogueEntry
from witnd.domain.values.strictjson import BYTES_MAX
from witnd.web.api.catalogue import answers
from witnd.web.api.catalogue.answers import CatalogueListing, Comparison, Pair, VersionPage, When, Which
from witnd.web.http.route import Call, Handler, Listing, route


async def _key_in_path(call: Call[Any]) -> str:
    return call.path["key"]


def _everything(_: Call[Any]) -> Callable[[CatalogueEntry], bool]:
    return lambda _entry: True


class Resource(Struct, frozen=True, kw_only=True):
    """One kind of the catalogue in the API.

    `path` is that of its list, `parameter` the name of the key in paths. `operation` names handlers, and with them the
    operations of the API: `create_agent`; `operations` is its plural, if that is not formed with an s. `phrase` and
    `listed` are its names in summaries: "an agent", "agents in order of their keys".
    """

    kind: Kind
    path: str
    operation: str
    operations: str = ""
    phrase: str
    listed: str
    body: Any  # what creates one
    change: Any  # what changes one
    change_summary: str
    archive_summary: str
    answer: Any
    page: Any
    listing: Any = CatalogueListing
    #: From what was written to the answer; `secret` is only there after a change that makes one.
    show: Callable[[Call[Any], Thing, str | None], Awaitable[Any]]
    show_page: Callable[[Call[Any], Sequence[Thing]], Awaitable[list[Any]]]
    parameter: str = "key"
    key: Callable[[Call[Any]], Awaitable[str]] = _key_in_path
    #: Which entries a list has, by its query.
    filter: Callable[[Call[Any]], Callable[[CatalogueEntry], bool]] = _everything


def register(module: str, resource: Resource) -> None:
    """Register the routes of a kind for its module, which is their section in the API's description."""
    kind, one, phrase = resource.kind, f"{resource.path}/{{{resource.parameter}}}", resource.phrase

    async def show(call: Call[Any], written: Written) -> Any:
        return await resource.show(call, written.thing, written.secret)

    async def create(call: Call[Any]) -> Any:
        return await show(call, await answers.create(call, kind))

    async def list_all(call: Call[Any]) -> Any:
        found, cursor = await answers.page(call, kind, wanted=resource.filter(call))
        return resource.page(data=await resource.show_page(call, found), next_cursor=cursor)

    async def read(call: Call[Which]) -> Any:
        return await resource.show(call, await answers.one(call, kind, await resource.key(call)), None)

    async def change(call: Call[Any]) -> Any:
        return await show(call, await answers.change(call, kind, await resource.key(call)))

    async def archive(call: Call[When]) -> Any:
        return await show(call, await answers.archive(call, kind, await resource.key(call), archived=True))

    async def restore(call: Call[When]) -> Any:
        return await show(call, await answers.archive(call, kind, await resource.key(call), archived=False))

    async def versions(call: Call[Listing]) -> VersionPage:
        return await answers.versions(call, kind, await resource.key(call))

    async def compare(call: Call[Pair]) -> Comparison:
        return await answers.compare(call, kind, await resource.key(call))

    def add(method: str, path: str, name: str, handler: Handler, says: str, **more: Any) -> None:
        handler.__module__, handler.__name__ = module, name.format(resource.operation)
        scope: Any = "read" if method == "GET" else "admin"
        route(method, path, says=says, scope=scope, **more)(handler)

    answer = {"answer": resource.answer}
    changes = {**answer, "refusals": ("CONFLICT",)}
    body = {**changes, "most_bytes": BYTES_MAX}
    add("POST", resource.path, "create_{}", create, f"Create {phrase}.", status=201, body=resource.body, **body)
    plural = resource.operations or f"{resource.operation}s"
    add("GET", resource.path, f"list_{plural}", list_all, f"List {resource.listed}.",
        query=resource.listing, answer=resource.page)  # fmt: skip
    add("GET", one, "read_{}", read, f"Read {phrase}.", query=Which, **answer)
    add("PATCH", one, "change_{}", change, resource.change_summary, has_versions=True, body=resource.change, **body)
    add("DELETE", one, "archive_{}", archive, resource.archive_summary, has_versions=True, query=When, **changes)
    add("POST", f"{one}/restore", "restore_{}", restore, f"Restore {phrase} from the archive.",
        has_versions=True, query=When, **changes)  # fmt: skip
    add("GET", f"{one}/versions", "list_{}_versions", versions,
        f"List the versions of {phrase} with their changes.", query=Listing, answer=VersionPage)  # fmt: skip
    add("GET", f"{one}/compare", "compare_{}", compare, f"Compare two versions of {phrase}.",
        query=Pair, answer=Comparison)  # fmt: skip
