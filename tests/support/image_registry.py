"""A registry with one image: two layers, and one that is cut off."""

from __future__ import annotations

import hashlib
import http.server
import io
import json
import tarfile


def layer(*files: str) -> bytes:
    """Return a compressed layer with files of 1000 bytes, a directory and a link."""
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w:gz") as archive:
        for name in files:
            member = tarfile.TarInfo(name)
            member.size = 1000
            archive.addfile(member, io.BytesIO(b"x" * 1000))
        for name, kind in (("etc", tarfile.DIRTYPE), ("etc/link", tarfile.SYMTYPE)):
            member = tarfile.TarInfo(name)
            member.type = kind
            member.linkname = files[0]
            archive.addfile(member)
    return out.getvalue()


LAYERS = {"sha256:base": layer("a", "b"), "sha256:own": layer("c"), "sha256:cut": layer("d")[:40]}
MANIFEST = json.dumps(
    {
        "config": {"digest": "sha256:config", "size": 10},
        "layers": [
            {"digest": "sha256:base", "size": 100},
            {"digest": "sha256:own", "size": 1000},
        ],
    }
).encode()
DIGEST = f"sha256:{hashlib.sha256(MANIFEST).hexdigest()}"


class Registry(http.server.BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        place = self.path.removeprefix("/v2/triptych/gateway/")
        answers = {f"manifests/{which}": MANIFEST for which in ("0123", DIGEST)}
        answers |= {f"blobs/{digest}": content for digest, content in LAYERS.items()}
        self.send_response(200 if place in answers else 404)
        self.end_headers()
        self.wfile.write(answers.get(place, b"{}"))

    def log_message(self, *_: object) -> None:
        """Say nothing."""
