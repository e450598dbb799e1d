from __future__ import annotations

import json
import logging
import os
import subprocess
import sys

from shopcore.context import accept_request_id, request_id
from shopcore.logs import JsonFormatter


def test_a_record_is_one_line_of_json_with_its_extras() -> None:
    token = request_id.set("abc")
    record = logging.makeLogRecord(
        {"name": "n", "levelname": "INFO", "msg": "line\n%s", "args": ("two",), "order_id": "7"}
    )
    line = JsonFormatter("r1").format(record)
    request_id.reset(token)
    assert "\n" not in line
    entry = json.loads(line)
    assert entry.pop("time").endswith("+00:00")
    assert entry == {
        "level": "info",
        "logger": "n",
        "message": "line\ntwo",
        "release": "r1",
        "request_id": "abc",
        "order_id": "7",
    }


def test_exceptions_stay_in_the_log() -> None:
    try:
        raise ValueError("why")
    except ValueError:
        record = logging.makeLogRecord({"msg": "m", "exc_info": sys.exc_info()})
    assert "ValueError: why" in json.loads(JsonFormatter("r").format(record))["exception"]


#: All ways in which Python itself says something.
SAYS = """
import threading, warnings
from shopcore.logs import configure_logging

configure_logging("INFO", "r1")
warnings.warn("of this")

class Breaks:
    def __del__(self):
        raise ValueError("when it goes")

Breaks()

def fails():
    raise KeyError("beside")

thread = threading.Thread(target=fails)
thread.start()
thread.join()
raise OSError("at the end")
"""


def test_what_python_itself_says_are_records() -> None:
    done = subprocess.run(
        [sys.executable, "-c", SAYS],
        env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)},
        check=False,
        capture_output=True,
        text=True,
    )
    assert done.returncode == 1
    assert done.stderr == ""
    records = [json.loads(line) for line in done.stdout.splitlines()]
    assert "of this" in records[0]["message"]
    assert [record["exception"].splitlines()[-1] for record in records[1:]] == [
        "ValueError: when it goes",
        "KeyError: 'beside'",
        "OSError: at the end",
    ]


def test_request_ids_are_kept_or_replaced() -> None:
    assert accept_request_id("a.B_3-") == "a.B_3-"
    for bad in (None, "", "a b", "x" * 65, "ä", "a\n"):
        assert accept_request_id(bad) != bad
