"""Image references: registry, repository, tag and digest."""

from __future__ import annotations

from dataclasses import dataclass

DOCKER_HUB = "docker.io"


@dataclass(frozen=True)
class Reference:
    """A parsed image reference; `registry` is "" when the reference names none."""

    registry: str
    repository: str
    tag: str
    digest: str

    @classmethod
    def parse(cls, text: str) -> Reference:
        """Split `registry/repository:tag@digest`."""
        rest, _, digest = text.partition("@")
        head, slash, tail = rest.partition("/")
        registry = head if slash and (head == "localhost" or set(".:") & set(head)) else ""
        path = tail if registry else rest
        path, _, tag = path.partition(":")
        repository = f"{registry}/{path}" if registry else path
        return cls(registry, repository, tag, digest)

    @property
    def pull_tag(self) -> str:
        """What to ask the registry for."""
        return self.digest or self.tag or "latest"
