"""The one exception whose text is meant for the user."""

from __future__ import annotations


class ToolchainError(Exception):
    """Something the user has to know, in one line, with what to do about it if we know.

    `hint` is a command or a short instruction; it is printed on the same line.
    """

    def __init__(self, message: str, hint: str = "") -> None:
        super().__init__(message)
        self.message = message
        self.hint = hint

    def __str__(self) -> str:
        return f"{self.message}: {self.hint}" if self.hint else self.message
