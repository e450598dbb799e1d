"""Resource provider for libvirt: the types and properties of pulumi-libvirt 0.5.4.

One module per resource type (`pool`, `volume`, `cloud_init_disk`, `network`, `domain`); the XML
that goes to libvirt and comes back is made and read by pure functions in the `*_xml` modules.
"""
