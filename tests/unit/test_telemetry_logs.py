"""Lines of logs: their ids, and their two forms."""

from __future__ import annotations

import json
import logging
import subprocess
import sys
import threading

from vidrec.telemetry.logs import JsonLines, TextLines, about


def record(message: str = "said %s", error: BaseException | None = None) -> logging.LogRecord:
    trace = (type(error), error, error.__traceback__) if error else None
    return logging.LogRecord("vidrec.test", logging.WARNING, __file__, 1, message, ("äh\n",), trace)


def test_a_line_of_json_holds_what_it_is_about() -> None:
    with about(request_id="r1", video_id=None), about(job_id="j1"):
        line = JsonLines().format(record())
    assert "\n" not in line
    told = json.loads(line)
    assert told.pop("time").endswith("+00:00")
    assert told == {
        "level": "WARNING",
        "logger": "vidrec.test",
        "message": "said äh\n",
        "request_id": "r1",
        "job_id": "j1",
    }
    assert "request_id" not in json.loads(JsonLines().format(record()))


def test_an_exception_is_told_within_the_line() -> None:
    try:
        int("broken")
    except ValueError as error:
        line = JsonLines().format(record(error=error))
    assert "\n" not in line
    assert "ValueError: invalid literal" in json.loads(line)["exception"]


def test_a_line_of_text_ends_with_the_ids() -> None:
    with about(request_id="r1", video_id="v1", trace_id="t1"):
        assert TextLines().format(record()).rstrip().endswith("[request_id=r1 video_id=v1]")
    assert "[" not in TextLines().format(record())


def test_other_threads_are_about_something_else() -> None:
    lines: list[str] = []
    with about(request_id="r1"):
        other = threading.Thread(target=lambda: lines.append(JsonLines().format(record())))
        other.start()
        other.join()
    assert "request_id" not in json.loads(lines[0])


def test_libraries_and_warnings_speak_the_same_form() -> None:
    code = """
import logging, warnings
from vidrec.telemetry import configure_logging
logging.getLogger("uvicorn.error").addHandler(logging.StreamHandler())
configure_logging("INFO", "json")
logging.getLogger("uvicorn.error").info("started")
logging.getLogger("httpx").info("not worth a line")
warnings.warn("beware")
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60, check=True)
    told = [json.loads(line) for line in done.stderr.splitlines()]
    assert [line["logger"] for line in told] == ["uvicorn.error", "py.warnings"]
    assert "beware" in told[1]["message"]


def test_nothing_of_opentelemetry_is_loaded_unless_asked_for() -> None:
    code = """
import sys
from vidrec.telemetry import Telemetry, Traces
telemetry = Telemetry("x", Traces.from_environment("x"))
with telemetry.traces.serving("a", {}), telemetry.observe("milvus")("search"):
    assert telemetry.headers() == {}
telemetry.close()
assert not [name for name in sys.modules if name.startswith("opentelemetry")]
"""
    environment = {"PATH": "/usr/bin:/bin"}
    subprocess.run([sys.executable, "-c", code], env=environment, timeout=60, check=True)
