"""The shop's parts inside one libvirt virtual machine."""
