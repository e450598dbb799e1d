"""Paging."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class PageRequest:
    """Which page, counted from 1, and how many rows it has."""

    page: int
    page_size: int

    @property
    def offset(self) -> int:
        """Rows before the page."""
        return (self.page - 1) * self.page_size
