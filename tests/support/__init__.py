"""What tests share: stacks, a ledger of what they made, fakes and servers that stand for others."""

from __future__ import annotations

from pathlib import Path

#: The clone.
ROOT = Path(__file__).resolve().parents[2]
