"""Write XML with prefixes. It only writes; files of others are never parsed."""

from collections.abc import Mapping
from decimal import Decimal
from xml.etree import ElementTree

from witnd.domain.values.money import minor_text, plain


class Xml:
    """A document under construction. Names are written with prefixes: `ram:Name`."""

    def __init__(self, root: str, namespaces: Mapping[str, str]) -> None:
        self._namespaces = namespaces
        self._root = ElementTree.Element(self._name(root))

    @property
    def root(self) -> "Element":
        return Element(self, self._root)

    def write(self) -> bytes:
        """Return the document as UTF-8."""
        for prefix, uri in self._namespaces.items():
            ElementTree.register_namespace(prefix, uri)
        ElementTree.indent(self._root)
        return bytes(ElementTree.tostring(self._root, encoding="UTF-8", xml_declaration=True)) + b"\n"

    def _name(self, name: str) -> str:
        prefix, _, local = name.rpartition(":")
        return f"{{{self._namespaces[prefix]}}}{local}"

    def add(self, parent: ElementTree.Element, name: str, attributes: Mapping[str, str]) -> ElementTree.Element:
        return ElementTree.SubElement(parent, self._name(name), dict(attributes))


class Element:
    """An element to which others are added, in the order of the schema."""

    def __init__(self, document: Xml, element: ElementTree.Element) -> None:
        self._document = document
        self._element = element

    def add(self, path: str, text: str | None = None, **attributes: str) -> "Element":
        """Add an element, with its parents if the path has several names; the attributes belong to the last one."""
        element = self._element
        *parents, name = path.split("/")
        for parent in parents:
            element = self._document.add(element, parent, {})
        element = self._document.add(element, name, attributes)
        element.text = text
        return Element(self._document, element)

    def add_if(self, path: str, text: str | None, **attributes: str) -> None:
        """Add an element if it has a text."""
        if text:
            self.add(path, text, **attributes)

    def amount(self, path: str, amount: Decimal, digits: int, **attributes: str) -> None:
        self.add(path, minor_text(amount, digits), **attributes)

    def rate(self, path: str, rate: Decimal | None) -> None:
        if rate is not None:
            self.add(path, plain(rate))
