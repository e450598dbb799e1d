"""Structured logs: one JSON object per line on standard output."""

import json
import logging
import sys
import threading
from datetime import UTC, datetime
from types import TracebackType

from shopcore.context import request_id

_ENCODER = json.JSONEncoder(default=str)
_STANDARD = frozenset(logging.makeLogRecord({}).__dict__) | {"message", "asctime", "color_message"}


class JsonFormatter(logging.Formatter):
    """Formats a record and its `extra` fields as one JSON object."""

    def __init__(self, release: str) -> None:
        super().__init__()
        self._release = release

    def format(self, record: logging.LogRecord) -> str:
        """Return the record as a line of JSON, with the request's id when there is one."""
        entry: dict[str, object] = {
            "time": datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds"),
            "level": record.levelname.lower(),
            "logger": record.name,
            "message": record.getMessage(),
            "release": self._release,
        }
        if (current := request_id.get()) is not None:
            entry["request_id"] = current
        for key, value in record.__dict__.items():
            if key not in _STANDARD:
                entry[key] = value
        if record.exc_info:
            entry["exception"] = self.formatException(record.exc_info)
        return _ENCODER.encode(entry)


def configure_logging(level: str, release: str) -> None:
    """Send every logger, uvicorn's too, and Python's own words through the JSON formatter."""
    # What no line has is not found out for each: the caller, threads, processes.
    logging._srcfile = None
    logging.logThreads = logging.logMultiprocessing = logging.logProcesses = False
    handler = logging.StreamHandler(sys.stdout)
    handler.setFormatter(JsonFormatter(release))
    logging.basicConfig(level=level, handlers=[handler], force=True)
    # Libraries that would log each request or statement a second time.
    for noisy in ("stripe", "urllib3", "sqlalchemy.engine", "alembic"):
        logging.getLogger(noisy).setLevel(logging.WARNING)
    _hear_the_interpreter()


def _hear_the_interpreter() -> None:
    """Make records of what Python would print: warnings, and exceptions that nobody caught."""
    logging.captureWarnings(True)
    log = logging.getLogger("python")

    def uncaught(
        kind: type[BaseException], error: BaseException, trace: TracebackType | None
    ) -> None:
        log.critical("uncaught exception", exc_info=(kind, error, trace))

    def uncaught_in_thread(args: threading.ExceptHookArgs) -> None:
        if args.exc_type is not SystemExit:
            error = args.exc_value or args.exc_type()
            log.error("uncaught exception", exc_info=(args.exc_type, error, args.exc_traceback))

    def ignored(args: "sys.UnraisableHookArgs") -> None:
        error = args.exc_value or args.exc_type()
        extra = {"object": repr(args.object)}
        log.error(
            args.err_msg or "exception ignored",
            exc_info=(args.exc_type, error, args.exc_traceback),
            extra=extra,
        )

    sys.excepthook = uncaught
    threading.excepthook = uncaught_in_thread
    sys.unraisablehook = ignored
