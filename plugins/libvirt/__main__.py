"""Entry point: `python -m plugins.libvirt`."""

from plugins.bridge import serve
from plugins.libvirt.provider import LibvirtProvider

serve(LibvirtProvider())
