"""The command line that every service has: `serve` and `migrate`.

What a command needs is imported by it, so that bad settings are told at once: `create_app` from
the service's module `application`, `SCHEMA` from its module `schema`.
"""

import argparse
import asyncio
import sys
from collections.abc import Sequence
from importlib import import_module

from shopcore.settings import ServiceSettings, SettingsError


def run_command(
    settings_type: type[ServiceSettings], description: str, argv: Sequence[str] | None = None
) -> int:
    """Run one command and return the process's exit code."""
    name = settings_type.service
    parser = argparse.ArgumentParser(prog=name, description=description)
    commands = parser.add_subparsers(dest="command", required=True, metavar="serve|migrate")
    commands.add_parser("serve", help="serve at once; migrate and seed before becoming ready")
    commands.add_parser("migrate", help="bring schema and catalogue up to date, then exit")
    command = parser.parse_args(argv).command
    try:
        settings = settings_type.from_env()

        from shopcore.logs import configure_logging

        configure_logging(settings.log_level, settings.release)
        if command == "migrate":
            schema = import_module(f"{name}.schema").SCHEMA
            code: int = asyncio.run(schema.migrate(settings))
            return code

        from shopcore.server import serve

        return serve(settings, import_module(f"{name}.application").create_app(settings))
    except SettingsError as error:
        for line in error.lines:
            print(f"{name}: {line}", file=sys.stderr)
        return 2
