"""Property paths as Pulumi writes them: `a.b[0]["c.d"]`."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable

_PLAIN = re.compile(r"[A-Za-z_$][\w$]*\Z")


def child(path: str, key: str) -> str:
    """Return the path of a field or map key below `path` ("" for the top)."""
    if not _PLAIN.match(key):
        return f"{path}[{json.dumps(key)}]"
    return f"{path}.{key}" if path else key


def item(path: str, index: int) -> str:
    """Return the path of a list element."""
    return f"{path}[{index}]"


def top(path: str) -> str:
    """Return the top-level property a path belongs to."""
    match = re.match(r"[\w$]+", path)
    return match.group() if match else path


def covered(path: str, patterns: Iterable[str]) -> bool:
    """Tell whether a path is one of `patterns` or below one; `*` stands for any one element."""
    for pattern in patterns:
        expression = re.escape(pattern).replace(r"\*", r"[^.\[\]]+")
        if re.match(rf"{expression}(?=[.\[]|\Z)", path):
            return True
    return False


def covers(pattern: str, path: str) -> bool:
    """Tell whether `path` is what an ignoreChanges `pattern` names, or is below it.

    `*` stands for any index or key.
    """
    expression = re.escape(pattern).replace(r"\[\*\]", r"\[[^]]*\]").replace(r"\.\*", r"\.[\w$]+")
    return re.match(rf"(?:{expression})(?:[.\[]|\Z)", path) is not None
