"""The description against the real daemon: whatever is sent, no server error and no answer that is not described.

Requests are generated from the document, some that fit it and some that do not, always the same ones.
"""

from collections.abc import Iterator
from typing import Any
from urllib.parse import quote

import pytest
import schemathesis
from hypothesis import HealthCheck, Phase, Verbosity, given, seed, settings
from hypothesis import strategies as st
from schemathesis import GenerationMode
from schemathesis.checks import CheckFunction, not_a_server_error
from schemathesis.specs.openapi.checks import (
    content_type_conformance,
    positive_data_acceptance,
    response_headers_conformance,
    response_schema_conformance,
    status_code_conformance,
)

from tests.support.processes import until
from tests.support.server import Server
from tests.web.api_server import CATALOGUE, ApiServer, api_server
from witnd.web.api.spec.openapi import document
from witnd.web.routes import ROUTES

# The daemon runs in a thread of this process, and its use of `random` is taken for one by a strategy.
pytestmark = [pytest.mark.slow, pytest.mark.filterwarnings("ignore:Do not use the `random` module")]
EXAMPLES = 10
CHECKS: list[CheckFunction] = [
    not_a_server_error,
    status_code_conformance,
    content_type_conformance,
    response_headers_conformance,
    response_schema_conformance,
]
# Of events the description says exactly what is taken: whatever fits it is.
EXACT = ("POST /v1/events", "POST /v1/events/batch")

DOCUMENT = document(ROUTES)
SCHEMA = schemathesis.openapi.from_dict(DOCUMENT)
OPERATIONS = {f"{one.method.upper()} {one.path}": one for one in (found.ok() for found in SCHEMA.get_all_operations())}


@pytest.fixture(scope="module")
def opened(session_server: Server, tmp_path_factory: pytest.TempPathFactory) -> Iterator[ApiServer]:
    """One daemon for all of them, with something of everything in it."""
    session_server.call("FLUSHALL")
    with api_server(session_server, tmp_path_factory.mktemp("office")) as one:
        one.deployment.apply(CATALOGUE)
        soon = {"settles_at": "1970-01-01T00:00:00Z"}
        for number in range(3):
            one.deployment.event(f"ticket-{number}", "replied", at="*", properties=soon if number else {})
        one.deployment.event("ticket-1", "replied", at="*")
        one.deployment.event("penniless-1", "replied", at="*", customer_key="penniless")
        until(lambda: one.deployment.call("XLEN", "witn:{0}:lines") == 2, "two of them are settled")
        yield one


def known_paths(api: ApiServer, path: str) -> list[dict[str, str]]:
    """What the names in a path can be for things that are there: else every generated path would end at "there is no
    such thing"."""
    collection, _, names = path.partition("/{")
    # The token that all this is asked with must not be revoked.
    if not names or f"GET {collection}" not in OPERATIONS or collection == "/v1/tokens":
        return []
    wanted = [part.partition("}")[0] for part in names.split("{")]
    rows = api.get(collection)["data"]
    known = [{name: quote(str(row[name]), safe="") for name in wanted if name in row} for row in rows]
    return [one for one in known if len(one) == len(wanted)][:3]


@pytest.mark.parametrize("mode", GenerationMode)
@pytest.mark.parametrize("name", OPERATIONS)
def test_every_answer_is_one_that_is_described(opened: ApiServer, name: str, mode: GenerationMode) -> None:
    operation = OPERATIONS[name]
    if mode is GenerationMode.NEGATIVE and not _can_be_wrong(name):
        pytest.skip("there is nothing in it that could be wrong")
    there = known_paths(opened, operation.path)
    address = f"http://{opened.address[0]}:{opened.address[1]}"
    checks = [*CHECKS, positive_data_acceptance] if name in EXACT else CHECKS
    headers = {"Authorization": f"Bearer {opened.tokens['admin']}"}

    @seed(4)
    @settings(
        max_examples=EXAMPLES,
        deadline=None,
        database=None,
        phases=[Phase.explicit, Phase.generate],
        suppress_health_check=list(HealthCheck),
        verbosity=Verbosity.quiet,
    )
    @given(case=operation.as_strategy(generation_mode=mode), known=st.integers(0, 2 * len(there)))
    def each(case: Any, known: int) -> None:
        if known < len(there):
            case.path_parameters.update(there[known])
        if name in EXACT and case.headers:
            # Two identities of one event must be equal, which a description cannot say.
            case.headers.pop("Idempotency-Key", None)
        answer = case.call(base_url=address, headers=headers, timeout=10)
        case.validate_response(answer, checks=checks)

    each()


def _can_be_wrong(name: str) -> bool:
    method, _, path = name.partition(" ")
    one = DOCUMENT["paths"][path][method.lower()]
    return "requestBody" in one or any(it["in"] == "query" for it in one.get("parameters", ()))
