"""What the documentation takes from the code is what the code says now."""

import ast
import tomllib
from importlib.metadata import version

import pytest

from tests.docs import generate
from tests.docs.log_events import MEANINGS
from witnd.settings import READERS

REFRESH = f"run `{generate.COMMAND}` and look at the difference"


@pytest.mark.parametrize("name", sorted(generate.BLOCKS))
def test_a_generated_part_is_what_the_code_makes(name: str) -> None:
    if name == "cli" and version("click").split(".")[:2] != _click_of_the_pages():
        pytest.skip("another click than in constraints.txt words its help in another way")
    path, text = generate.refreshed(name)
    assert path.read_text() == text, f"{path.relative_to(generate.ROOT)} is not up to date: {REFRESH}"


@pytest.mark.parametrize("place", sorted(generate.FILES))
def test_a_generated_file_is_what_the_code_makes(place: str) -> None:
    assert (generate.ROOT / place).read_text() == generate.FILES[place](), f"{place} is not up to date: {REFRESH}"


def _click_of_the_pages() -> list[str]:
    pins = (generate.ROOT / "constraints.txt").read_text().splitlines()
    [pinned] = [pin.partition("==")[2] for pin in pins if pin.startswith("click==")]
    return pinned.split(".")[:2]


def test_every_setting_is_in_the_example_file() -> None:
    example = tomllib.loads((generate.ROOT / "config/witnd.example.toml").read_text())
    assert {name: set(table) for name, table in example.items()} == {
        name: set(readers) for name, readers in READERS.items()
    }


def test_every_log_event_of_the_source_is_explained_and_no_other() -> None:
    spoken = {name for name, (levels, _) in generate.log_events().items() if levels != {"debug"}}
    assert spoken == set(MEANINGS), "correct tests/docs/log_events.py, then " + REFRESH


def test_every_key_is_in_the_table() -> None:
    """What the module builds stands in its table, under the name that it builds."""
    table = generate.keys_block()
    made = generate.keys.Keys("witn", 0)
    names = [getattr(made, name).replace("{0}", "{P}") for name in made.__slots__ if name not in ("base", "partition")]
    names += [getattr(generate.keys.GlobalKeys("witn"), name) for name in ("meta", "catalogue", "endpoints")]
    for build, argument in _builders():
        names.append(build(made, argument).replace("{0}", "{P}"))
    assert [name for name in names if f"`{name}`" not in table] == []


def _builders() -> list:
    """The methods that build a key from an argument, with the argument as the table spells it."""
    source = ast.parse((generate.ROOT / "witnd/store/keys.py").read_text())
    [keys] = [node for node in source.body if isinstance(node, ast.ClassDef) and node.name == "Keys"]
    spelled = {
        "key": "<key>", "fate": "<fate>", "rule_id": "<rule>", "status": "<STATUS>", "customer_key": "<customer key>",
        "date": "<date>",
    }  # fmt: skip
    return [
        (getattr(generate.keys.Keys, method.name), spelled[method.args.args[1].arg])
        for method in keys.body
        if isinstance(method, ast.FunctionDef) and method.name != "__init__"
    ]
