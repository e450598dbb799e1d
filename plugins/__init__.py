"""Pulumi plugins in Python, for machines that cannot reach Pulumi's plugin downloads."""
