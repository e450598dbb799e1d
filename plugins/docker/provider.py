"""The provider: its name and resource types."""

from __future__ import annotations

from plugins.docker.connection import DaemonProvider
from plugins.docker.container import Container
from plugins.docker.image import Image
from plugins.docker.network import Network
from plugins.docker.remote_image import RemoteImage
from plugins.docker.volume import Volume


class DockerProvider(DaemonProvider):
    """Provider `docker`."""

    name = "docker"
    version = "5.2.0"
    upstream = "docker plugin 5.x"
    resources = (Container, Image, Network, RemoteImage, Volume)
