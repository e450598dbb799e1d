"""``python -m bench``."""

from __future__ import annotations

import sys
from typing import Annotated

import typer
from rich.console import Console

from bench import run
from probe.errors import ProbeError

app = typer.Typer(add_completion=False, pretty_exceptions_enable=False)


@app.command()
def bench(
    only: Annotated[
        str, typer.Option("--only", help=f"Of: {', '.join(run.NAMES)}; separated by commas.")
    ] = "",
    rounds: Annotated[
        int, typer.Option("--rounds", min=0, help="Rounds; default: 3, but 2 for vm.")
    ] = 0,
) -> None:
    """Measure, write results/bench.json, print the table; exit 1 where a limit is missed."""
    raise typer.Exit(
        run.run(reps=rounds or None, only=tuple(w.strip() for w in only.split(",") if w.strip()))
    )


def main() -> None:
    """Run the command; a known problem is one line."""
    try:
        app()
    except ProbeError as error:
        Console(stderr=True).print(f"bench: {error}", style="red", soft_wrap=True, markup=False)
        sys.exit(error.exit_code)
    except KeyboardInterrupt:
        sys.exit(130)


if __name__ == "__main__":
    main()
