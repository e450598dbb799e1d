"""What the libvirt plugin leaves to xsltproc and genisoimage."""

from __future__ import annotations

import shutil

import pytest

from plugins.bridge import UserError
from plugins.libvirt import iso9660, xml
from plugins.libvirt.domain_xml import (
    Facts,
    domain_xml,
)

UUID = "00000000-0000-0000-0000-000000000001"


def test_stylesheet_is_applied_and_a_bad_one_named() -> None:
    assert shutil.which("xsltproc")
    sheet = (
        '<xsl:stylesheet version="1.0" xmlns:xsl="http://www.w3.org/1999/XSL/Transform">'
        '<xsl:template match="@*|node()"><xsl:copy><xsl:apply-templates select="@*|node()"/>'
        '</xsl:copy></xsl:template><xsl:template match="devices/graphics"/></xsl:stylesheet>'
    )
    document = domain_xml({"name": "vm"}, Facts(uuid=UUID, host_arch="x86_64"))
    changed = xml.parse(xml.transformed(document, {"xml": {"xslt": sheet}}))
    assert changed.find("devices/graphics") is None
    assert changed.find("devices/rng") is not None
    with pytest.raises(UserError, match="xsltproc rejected the stylesheet") as caught:
        xml.transformed(document, {"xml": {"xslt": "<nonsense"}})
    assert "\n" not in str(caught.value)


def test_iso_image_round_trip() -> None:
    files = {"user-data": "#cloud-config\né\n" * 500, "meta-data": "", "network-config": "v: 2\n"}
    assert iso9660.read(iso9660.written(files)) == {
        "USER_DAT": files["user-data"],
        "META_DAT": "",
        "NETWORK_": "v: 2\n",
    }
    with pytest.raises(ValueError, match="not an ISO 9660"):
        iso9660.read(b"no image")
