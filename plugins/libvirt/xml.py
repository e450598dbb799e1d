"""Small helpers around lxml: building elements, reading values, applying a stylesheet."""

from __future__ import annotations

import subprocess
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from lxml import etree

from plugins.bridge import UserError

Element = etree._Element


def add(
    parent: Element,
    tag: str,
    text: object = None,
    /,
    attributes: Mapping[str, object] | None = None,
) -> Element:
    """Append a child element and return it; attributes that are empty or None are left out."""
    child = etree.SubElement(parent, tag)
    if text is not None:
        child.text = str(text)
    for key, value in (attributes or {}).items():
        if value is not None and value != "":
            child.set(key, str(value))
    return child


def root(tag: str, /, **attributes: str) -> Element:
    """Make a document's root element."""
    return etree.Element(tag, {k: v for k, v in attributes.items() if v})


def render(element: Element) -> str:
    """Serialise an element, indented."""
    return etree.tostring(element, pretty_print=True, encoding="unicode")


def parse(text: str) -> Element:
    """Parse XML as libvirt gives it; entities and network access stay off."""
    parser = etree.XMLParser(resolve_entities=False, no_network=True, remove_blank_text=True)
    return etree.fromstring(text.encode(), parser)


def text(element: Element, path: str, default: str = "") -> str:
    """Text of the first element at `path`, or `default`."""
    found = element.find(path)
    return default if found is None or found.text is None else found.text.strip()


def attribute(element: Element, path: str, name: str, default: str = "") -> str:
    """Attribute of the first element at `path`, or `default`."""
    found = element.find(path)
    return default if found is None else found.get(name, default)


def transformed(document: str, inputs: Mapping[str, Any]) -> str:
    """Apply the resource's `xml.xslt` stylesheet, if it has one, with xsltproc.

    Raises UserError when xsltproc is missing or rejects the stylesheet.
    """
    stylesheet = (inputs.get("xml") or {}).get("xslt")
    if not stylesheet:
        return document
    with tempfile.TemporaryDirectory(prefix="triptych-xslt-") as folder:
        sheet, source = Path(folder, "sheet.xsl"), Path(folder, "source.xml")
        sheet.write_text(stylesheet)
        source.write_text(document)
        command = ["xsltproc", "--nomkdir", "--nonet", str(sheet), str(source)]
        try:
            done = subprocess.run(command, capture_output=True, text=True, check=False)
        except FileNotFoundError:
            raise UserError(
                "xml.xslt needs the program xsltproc, which is not installed "
                "(Debian package xsltproc)"
            ) from None
    if done.returncode != 0:
        reason = " ".join(done.stderr.replace(folder + "/", "").split())
        raise UserError(f"xml.xslt: xsltproc rejected the stylesheet: {reason}")
    return done.stdout
