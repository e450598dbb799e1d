"""Tests that measure the host have it to themselves: a gate, what others took, the one repeat.

docs/tests.md says which tests those are, and why.
"""
