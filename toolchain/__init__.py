"""Everything a clone needs before Pulumi runs: tools, venv, plugins, daemons, artefacts.

Standard library only (Python 3.11 and newer): this package runs before the venv exists.
"""
