"""Requests that are made up from the contract."""

from __future__ import annotations

import schemathesis

from .contract import CONTRACT_FILE

# Query parameters that the contract does not have are ignored, as everywhere on the web.
_CONFIG = schemathesis.Config.from_dict({"generation": {"allow-extra-parameters": False}})
schema = schemathesis.openapi.from_path(CONTRACT_FILE, config=_CONFIG).exclude(path="/metrics")
