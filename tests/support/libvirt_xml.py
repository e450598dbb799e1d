"""libvirt's XML, in one form."""

from __future__ import annotations

from lxml import etree


def canonical(document: str) -> str:
    parser = etree.XMLParser(remove_blank_text=True)
    return etree.tostring(etree.fromstring(document, parser), pretty_print=True).decode()
