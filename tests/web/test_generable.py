"""Generators of clients understand the description of the API, and it says what the server does."""

import json
import os
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.web.api_server import ApiServer
from witnd.domain.catalogue.condition import OPERATORS
from witnd.web.api.spec.openapi import document, text
from witnd.web.http.route import JSON, Route
from witnd.web.routes import ROUTES

SCHEMAS = document(ROUTES)["components"]["schemas"]


def nodes(node: Any, path: str = "") -> Iterator[tuple[str, dict[str, Any]]]:
    if isinstance(node, dict):
        yield path, node
        for name, it in node.items():
            yield from nodes(it, f"{path}/{name}")
    elif isinstance(node, list):
        for place, it in enumerate(node):
            yield from nodes(it, f"{path}/{place}")


def test_no_member_is_made_required_by_a_default() -> None:
    assert [path for path, node in nodes(SCHEMAS) if "default" in node and not path.endswith("/properties")] == []


def test_every_object_says_what_members_it_has() -> None:
    assert [
        path for path, node in nodes(SCHEMAS)
        if node.get("type") == "object" and not node.keys() & {"properties", "additionalProperties"}
    ] == []  # fmt: skip


def test_a_reference_stands_alone() -> None:
    assert [path for path, node in nodes(document(ROUTES)) if "$ref" in node and len(node) > 1] == []


def test_conditions_nest_and_name_every_operator() -> None:
    leaves = [SCHEMAS[one["$ref"].rpartition("/")[2]] for one in SCHEMAS["Condition"]["anyOf"]]
    operators = [name for leaf in leaves for name in leaf["properties"].get("operator", {}).get("enum", ())]
    assert sorted(operators) == sorted(OPERATORS)
    assert SCHEMAS["Group"]["properties"]["conditions"]["items"] == {"$ref": "#/components/schemas/Condition"}
    for name in ("Agent", "AgentIn", "TrialIn"):
        assert _list_of(SCHEMAS[name]["properties"]["condition"]) == {"$ref": "#/components/schemas/Condition"}
    assert _list_of(SCHEMAS["Grade"]["properties"]["condition"]) == {"$ref": "#/components/schemas/Condition"}


def _list_of(schema: dict[str, Any]) -> Any:
    """Return the schema of the members of a list, which may be optional."""
    (found,) = [one["items"] for one in schema.get("anyOf", [schema]) if "items" in one]
    return found


def bodies() -> list[tuple[Route, str]]:
    """Routes that take a JSON object, with the name of its schema."""
    found: list[tuple[Route, str]] = []
    for one in ROUTES:
        content = document([one])["paths"][one.path][one.method.lower()].get("requestBody", {}).get("content", {})
        schema = content.get(JSON, {}).get("schema", {})
        alternatives = schema.get("anyOf", [schema])
        found += [(one, it["$ref"].rpartition("/")[2]) for it in alternatives if "$ref" in it]
    return found


def test_every_body_says_whether_it_takes_unknown_members() -> None:
    assert [name for _, name in bodies() if "additionalProperties" not in SCHEMAS[name]] == []


# Those below an id need something that only a running business has; they are decoded by their schema itself.
ASKED = [(one, name) for one, name in bodies() if "id" not in one.names]


@pytest.mark.parametrize(("one", "name"), ASKED, ids=lambda it: it if isinstance(it, str) else it.path)
def test_what_is_said_of_unknown_members_is_what_the_server_does(api: ApiServer, one: Route, name: str) -> None:
    path = one.path
    things = {"customers": {}, "rate-cards": {"currency": "EUR"}, "agents": {"condition": []},
              "taxes": {"rate": "19", "category": "S"}}  # fmt: skip
    for kind, fields in things.items():
        assert api.ask("POST", f"/v1/{kind}", {"key": "known", **fields}).status == 201
    assert api.ask("PUT", "/v1/seller", {"name": "Kontor"}).status == 200
    for part in one.names:
        path = path.replace(f"{{{part}}}", "known")
    answer = api.ask(one.method, path, {"zzz": 1})
    named = "zzz" in answer.body.decode()
    assert answer.status == 400, answer.body
    assert named == (SCHEMAS[name]["additionalProperties"] is False), answer.body


@pytest.mark.slow
def test_the_typescript_made_from_the_description_compiles(tmp_path: Path) -> None:
    """Needs node and a directory, named by WITND_TEST_NODE, in which `npm install openapi-typescript typescript` was
    run."""
    tools = Path(os.environ.get("WITND_TEST_NODE", "/nonexistent")) / "node_modules/.bin"
    if shutil.which("node") is None or not (tools / "openapi-typescript").exists():
        pytest.skip("no node, or no openapi-typescript: see the docstring")
    (tmp_path / "openapi.json").write_bytes(text(ROUTES))
    types = tmp_path / "api.ts"
    line = [tools / "openapi-typescript", tmp_path / "openapi.json", "-o", types]
    subprocess.run(line, check=True, capture_output=True, timeout=300)
    (tmp_path / "use.ts").write_text(USE)
    done = subprocess.run(
        [tools / "tsc", "--strict", "--noEmit", "--skipLibCheck", "--target", "es2022", "--moduleResolution", "node16",
         "--module", "node16", tmp_path / "use.ts"],
        check=False, capture_output=True, text=True, timeout=300,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout


USE = """
import type { components } from "./api.js";
type Schemas = components["schemas"];
const condition: Schemas["Condition"][] = [
  { fact: "resolved", operator: "seen" },
  { op: "OR", conditions: [
    { fact: "csat", operator: "not lte", value: 3 },
    { op: "NOT", condition: { fact: "plan", operator: "match", value: "free" } },
  ] },
];
export const agent: Schemas["AgentIn"] = { key: "support", condition };
export const customer: Schemas["CustomerIn"] = { key: "acme" };
export const entries: Schemas["Entry"][] = [{ agent: "a", price_per_unit: "1" }];
export const card: Schemas["RateCardIn"] = { key: "s", currency: "EUR", entries };
export const rule: Schemas["NotificationRuleIn"] = { name: "crm", source: "both", url: "https://example.com" };
export const event: Schemas["EventIn"] = {
  key: "ticket-4711", action: "rated", customer_key: "acme", properties: { value: 4, channel: "mail" },
};
// @ts-expect-error: no such operator
export const wrong: Schemas["Condition"] = { fact: "resolved", operator: "saw" };
// @ts-expect-error: a leaf needs a fact
export const empty: Schemas["Condition"] = { operator: "seen" };
export const words: string[] = condition.map((one) => JSON.stringify(one));
"""


def test_the_example_of_the_description_is_what_the_server_takes(api: ApiServer) -> None:
    condition = [
        {"fact": "resolved", "operator": "seen"},
        {"op": "OR", "conditions": [{"op": "NOT", "condition": {"fact": "csat", "operator": "lte", "value": 3}}]},
    ]
    answer = api.ask("POST", "/v1/agents", {"key": "nested", "condition": condition})
    assert answer.status == 201, json.dumps(answer.json)
