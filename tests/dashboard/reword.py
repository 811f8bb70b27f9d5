"""Replace every sentence that the dashboard shows, to find tests that depend on one.

`python -m pytest tests/dashboard -p tests.dashboard.reword` swaps the case of all letters in the text of templates and
in the sentences of the code that writes pages and messages. Golden pages fail then; every other test has to pass.
"""

import ast
import importlib.abc
import importlib.machinery
import re
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from types import ModuleType
from typing import Any

# Code whose sentences people read on pages.
_REWORDED = ("witnd.web.", "witnd.app.", "witnd.domain.", "witnd.billing.export.wording")
# What is no text for people: addresses, streams, descriptions of the API.
_NOT_REWORDED = (
    "witnd.app.pulse", "witnd.web.api.spec", "witnd.web.connections", "witnd.web.dashboard.files",
    "witnd.web.dashboard.pages.live", "witnd.web.http.route", "witnd.web.http.streaming",
)  # fmt: skip
# Names that pages look up, which contain a space.
_CODES = frozenset(("in effect", "on hold", "not seen", "match text", "match true", "match false", "match number"))
_SENTENCE = re.compile(r"[A-Za-z’]{2,}[,:;]? [A-Za-z]")
# A part of a sentence that a value is put into.
_PART = re.compile(r"[A-Za-z]{2}[,:;]? | [A-Za-z]{2}")
_KEPT = re.compile(r"UTC|\bevent $|\bms$|\bms\b|`[^`]*`|\{[^{}]*\}|%\(?\w+\)?s|https?://\S+")
# What is no sentence: a header, markup, an address, a command or a program.
_TECHNICAL = re.compile(
    r"[Mm]ax-[Aa]ge|filename=|; charset|HTTP/|-src |text/|^match $|[<>]|^[a-z/_]+$"
    r"|import |return |redis\.|redis-cli|curl "
)
_MARKUP = re.compile(r"\{#.*?#\}|\{%.*?%\}|\{\{.*?\}\}|<(?:\{\{.*?\}\}|\{%.*?%\}|[^>])*>|&[#\w]+;", re.DOTALL)
_LABEL = re.compile(r'((?:aria-label|title|placeholder|alt)=")([^"{]*)"')
_QUOTED = re.compile(r'"((?:[^"\\]|\\.)*)"')


def reworded(text: str) -> str:
    """The text with the case of its letters swapped, except in code and placeholders."""
    if text in _CODES or re.fullmatch("not [a-z]+", text):
        return text
    parts, end = [], 0
    for kept in _KEPT.finditer(text):
        parts += [text[end : kept.start()].swapcase(), kept[0]]
        end = kept.end()
    return "".join([*parts, text[end:].swapcase()])


def template(source: str) -> str:
    """A template with every text that it shows reworded."""
    out, end, code = [], 0, 0
    for found in _MARKUP.finditer(source):
        text = source[end : found.start()]
        # Macros that write attributes have them outside of any tag.
        out.append(text if code or '="' in text or text.startswith(("-", '"', "f-")) else text.swapcase())
        mark = found[0]
        if re.match(r"</?(code|pre)\b", mark):
            code += -1 if mark.startswith("</") else 1
        if mark.startswith("<"):
            mark = _LABEL.sub(lambda label: f'{label[1]}{label[2].swapcase()}"', mark)
            mark = re.sub(r"\{[{%].*?[%}]\}", lambda inner: _expression(inner[0]), mark, flags=re.DOTALL)
        elif mark.startswith("{") and not mark.startswith("{#"):
            mark = _expression(mark)
        out.append(mark)
        end = found.end()
    return "".join([*out, source[end:].swapcase()])


def _expression(mark: str) -> str:
    def constant(found: re.Match[str]) -> str:
        text = found[1]
        label = (_SENTENCE.search(text) and _plain(text)) or re.fullmatch(r"[A-Z][a-z’]+", text)
        return f'"{reworded(text)}"' if label else found[0]

    return _QUOTED.sub(constant, mark)


class _Sentences(ast.NodeTransformer):
    def visit_Expr(self, node: ast.Expr) -> ast.AST:
        return node if isinstance(node.value, ast.Constant) else self.generic_visit(node)

    def visit_Call(self, node: ast.Call) -> ast.AST:
        named = ast.unparse(node.func)
        if named.startswith("re.") or named.endswith("Markup") or named in ("cast", "TypeVar"):
            return node
        return self.generic_visit(node)

    def visit_AnnAssign(self, node: ast.AnnAssign) -> ast.AST:
        if node.value is not None:
            node.value = self.visit(node.value)
        return node

    def visit_arg(self, node: ast.arg) -> ast.AST:
        return node

    def visit_JoinedStr(self, node: ast.JoinedStr) -> ast.AST:
        texts = [one.value for one in node.values if isinstance(one, ast.Constant)]
        if not _plain("".join(texts)) or not any(_PART.search(text) for text in texts):
            return node
        for one in node.values:
            if isinstance(one, ast.Constant):
                one.value = reworded(one.value)
            elif isinstance(one, ast.FormattedValue):
                one.value = self.visit(one.value)
        return node

    def visit_Constant(self, node: ast.Constant) -> ast.AST:
        if isinstance(node.value, str) and _SENTENCE.search(node.value) and _plain(node.value):
            return ast.copy_location(ast.Constant(reworded(node.value)), node)
        return node


def _plain(text: str) -> bool:
    return _TECHNICAL.search(text) is None


class _Reworder(importlib.abc.MetaPathFinder, importlib.machinery.SourceFileLoader):
    def __init__(self) -> None:
        pass

    def find_spec(
        self, name: str, path: Sequence[str] | None, target: ModuleType | None = None
    ) -> importlib.machinery.ModuleSpec | None:
        if not name.startswith(_REWORDED) or name.startswith(_NOT_REWORDED):
            return None
        spec = importlib.machinery.PathFinder.find_spec(name, path, target)
        if spec is not None and spec.origin is not None and spec.origin.endswith(".py"):
            spec.loader = _Loader(name, spec.origin)
        return spec


class _Loader(importlib.machinery.SourceFileLoader):
    def get_code(self, fullname: str) -> Any:
        source = Path(self.path).read_text(encoding="utf-8")
        tree = ast.fix_missing_locations(_Sentences().visit(ast.parse(source)))
        return compile(tree, self.path, "exec")


def _install() -> None:
    assert not any(name.startswith("witnd.web.") for name in sys.modules), "too late: load it with -p"
    sys.meta_path.insert(0, _Reworder())
    from jinja2 import FileSystemLoader

    get: Callable[..., Any] = FileSystemLoader.get_source

    def get_source(self: FileSystemLoader, environment: Any, name: str) -> Any:
        source, filename, fresh = get(self, environment, name)
        return template(source), filename, fresh

    FileSystemLoader.get_source = get_source  # type: ignore[method-assign]


_install()
