"""Runs one Pulumi program: the child process of the language host.

Run by the project's own Python, so it imports nothing but the standard library and the Pulumi SDK.
Exits with 32 when it has shown an error to the user.
"""

import argparse
import asyncio
import inspect
import logging
import os
import runpy
import sys
import traceback
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

# The directory of this file must not shadow anybody's imports.
sys.path[:] = [entry for entry in sys.path if entry != str(Path(__file__).parent)]

SHOWN_EXIT_CODE = 32

try:
    import pulumi
    import pulumi.runtime
except ImportError as error:
    print(
        f"The Pulumi SDK can't be imported by {sys.executable} ({error}): run `pulumi install`.",
        file=sys.stderr,
    )
    sys.exit(1)


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser()
    for name in ("monitor", "engine", "project", "stack", "organization", "pwd", "root_directory"):
        parser.add_argument(f"--{name}")
    parser.add_argument("--dry_run", default="false")
    parser.add_argument("--parallel", type=int, default=0)
    parser.add_argument("program")
    parser.add_argument("args", nargs=argparse.REMAINDER)
    return parser.parse_args()


def _configure(args: argparse.Namespace) -> None:
    pulumi.runtime.set_all_config(
        pulumi.runtime.get_config_env(), pulumi.runtime.get_config_secret_keys_env()
    )
    wanted = {
        "monitor": args.monitor,
        "engine": args.engine,
        "project": args.project,
        "stack": args.stack,
        "parallel": args.parallel,
        "dry_run": args.dry_run == "true",
        "organization": args.organization,
        "root_directory": args.root_directory,
    }
    known = inspect.signature(pulumi.runtime.Settings.__init__).parameters
    pulumi.runtime.configure(
        pulumi.runtime.Settings(**{key: value for key, value in wanted.items() if key in known})
    )


def _user_traceback(error: BaseException) -> str:
    """Return the traceback without the frames of the Pulumi runtime above the program's own."""
    frames = traceback.extract_tb(error.__traceback__)
    first = next(
        (
            index
            for index, frame in enumerate(frames)
            if frame.filename.startswith(f"{Path.cwd()}{os.sep}")
            and f"{os.sep}site-packages{os.sep}" not in frame.filename
        ),
        0,
    )
    if first == 0:
        return "".join(traceback.format_exception(error))
    return "".join(traceback.format_exception(error, limit=first - len(frames)))


def _run_module(program: str) -> None:
    runpy.run_path(program, run_name="__main__")


def _run(args: argparse.Namespace) -> int:
    sys.argv = [args.program, *args.args]
    if args.pwd:
        os.chdir(args.pwd)
    program = Path(args.program).resolve()
    if program.is_dir() and not (program / "__main__.py").exists():
        pulumi.log.error(f"unable to find the program: there is no {program / '__main__.py'}")
        return SHOWN_EXIT_CODE
    loop = asyncio.new_event_loop()
    asyncio.set_event_loop(loop)
    executor = ThreadPoolExecutor(max_workers=max(args.parallel, 1) * 4)
    loop.set_default_executor(executor)
    # A failed program leaves futures that nobody awaits; asyncio would complain about each.
    logging.getLogger("asyncio").setLevel(logging.CRITICAL)
    try:
        loop.run_until_complete(pulumi.runtime.run_in_stack(lambda: _run_module(args.program)))
        return 0
    except pulumi.RunError as error:
        # When the engine ends the run, it has said why; the SDK's words for that say nothing.
        if not str(error).startswith("Resource monitor has terminated"):
            pulumi.log.error(str(error))
    except Exception as error:
        text = _user_traceback(error)
        pulumi.log.error(f"Program failed with an unhandled exception:\n{text}")
    finally:
        executor.shutdown(wait=True)
        loop.close()
        sys.stdout.flush()
        sys.stderr.flush()
    return SHOWN_EXIT_CODE


if __name__ == "__main__":
    arguments = _arguments()
    _configure(arguments)
    sys.exit(_run(arguments))
