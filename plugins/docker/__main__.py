"""Entry point of `pulumi-resource-docker`."""

from plugins.bridge import serve
from plugins.docker.provider import DockerProvider

serve(DockerProvider())
