"""What a confined program cannot do. The programs are Python's, which can try everything."""

from __future__ import annotations

import ctypes
import os
import platform
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import IO, Any

import psutil
import pytest

from vidrec.adapters.sandbox import ConfinedProcess, LimitExceeded, Limits
from vidrec.domain.errors import Unavailable

LIMITS = Limits(wall_s=30, cpu_s=30, memory_bytes=1 << 30)
linux = pytest.mark.skipif(sys.platform != "linux", reason="these limits are Linux's")


def has_landlock() -> bool:
    if sys.platform != "linux":
        return False
    return int(ctypes.CDLL(None).syscall(444, None, ctypes.c_size_t(0), 1)) > 0


@pytest.fixture
def file(tmp_path: Path) -> Iterator[IO[bytes]]:
    path = tmp_path / "input"
    path.write_bytes(b"the input")
    with open(path, "rb", buffering=0) as opened:
        yield opened


def confined(code: str, file: IO[bytes], limits: Limits = LIMITS, **more: Any) -> ConfinedProcess:
    return ConfinedProcess([sys.executable, "-I", "-S", "-c", code], stdin=file, limits=limits, **more)


def output(code: str, file: IO[bytes], limits: Limits = LIMITS) -> str:
    with confined(code, file, limits) as process:
        text = b"".join(data for _, data in process.chunks())
        assert not process.failed, process.messages
    return text.decode()


def test_it_reads_its_input_and_is_heard(file: IO[bytes]) -> None:
    assert output("import os; os.write(1, os.read(0, 100))", file) == "the input"


def test_a_second_pipe_is_kept_apart(file: IO[bytes]) -> None:
    extra = os.pipe()
    with confined(f"import os; os.write(1, b'one'); os.write({extra[1]}, b'two')", file, extra=extra) as process:
        said = dict(process.chunks())
    assert said == {"stdout": b"one", "extra": b"two"}


def test_its_environment_holds_nothing_of_ours(file: IO[bytes], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "secret")
    names = output("import os; print(*os.environ)", file).split()
    assert set(names) <= {"PATH", "LC_ALL", "MALLOC_ARENA_MAX", "LC_CTYPE"}


def test_it_writes_no_file(file: IO[bytes], tmp_path: Path) -> None:
    target = tmp_path / "written"
    code = f"""
try:
    with open({str(target)!r}, "wb") as f: f.write(b"x")
    print("written")
except OSError: print("refused")
"""
    assert output(code, file) == "refused\n"
    assert not target.exists() or not target.stat().st_size


def test_it_writes_the_file_that_it_is_handed(file: IO[bytes], tmp_path: Path) -> None:
    with open(tmp_path / "handed", "w+b", buffering=0) as handed:
        code = f"import os; os.write({handed.fileno()}, b'abc'); os.lseek({handed.fileno()}, 0, 0)"
        code += f"; os.write({handed.fileno()}, b'x')"
        limits = Limits(wall_s=30, cpu_s=30, memory_bytes=1 << 30, file_bytes=3)
        with confined(code, file, limits, written=handed) as process:
            assert list(process.chunks()) == []
            assert not process.failed, process.messages
    assert (tmp_path / "handed").read_bytes() == b"xbc"


def test_a_file_that_grows_too_large_ends_it(file: IO[bytes], tmp_path: Path) -> None:
    limits = Limits(wall_s=30, cpu_s=30, memory_bytes=1 << 30, file_bytes=1 << 16)
    with open(tmp_path / "handed", "w+b", buffering=0) as handed:
        code = "import os, signal\nsignal.signal(signal.SIGXFSZ, signal.SIG_DFL)\n"
        code += f"while True: os.write({handed.fileno()}, bytes(1 << 12))"
        with confined(code, file, limits, written=handed) as process, pytest.raises(LimitExceeded):
            list(process.chunks())
    assert (tmp_path / "handed").stat().st_size == 1 << 16


@linux
@pytest.mark.skipif(platform.machine() not in ("x86_64", "aarch64"), reason="no list of calls for this machine")
@pytest.mark.parametrize("flags", ["O_WRONLY", "O_RDWR", "O_CREAT", "O_WRONLY | os.O_CREAT", "O_TRUNC"])
def test_it_opens_no_other_file_for_writing(file: IO[bytes], tmp_path: Path, flags: str) -> None:
    """Whatever the size that it may write."""
    target = tmp_path / "original"
    target.write_bytes(b"somebody's video")
    target.chmod(0o666)
    limits = Limits(wall_s=30, cpu_s=30, memory_bytes=1 << 30, file_bytes=1 << 20)
    for path in (target, tmp_path / "new"):
        code = f"""
import os
try: os.write(os.open({str(path)!r}, os.{flags}, 0o666), b"x"); print("written")
except PermissionError: print("refused")
"""
        expected = "refused\n"
        if path.name == "new" and "CREAT" not in flags and not has_landlock():
            continue
        assert output(code, file, limits) == expected
    assert target.read_bytes() == b"somebody's video"
    assert not (tmp_path / "new").exists()


@linux
def test_it_gives_way_to_others(file: IO[bytes]) -> None:
    assert output("import os; print(os.nice(0))", file) == f"{os.nice(0)}\n"
    with confined("import os; print(os.nice(0))", file, niceness=19) as process:
        assert b"".join(data for _, data in process.chunks()) == b"19\n"


@linux
@pytest.mark.skipif(platform.machine() not in ("x86_64", "aarch64"), reason="no list of calls for this machine")
@pytest.mark.parametrize(
    "call", ["truncate({}, 0)", "chmod({}, 0o777)", "utime({}, (1, 1))", "setxattr({}, 'user.x', b'x')", "unlink({})"]
)
def test_it_changes_no_file_in_place(file: IO[bytes], tmp_path: Path, call: str) -> None:
    target = tmp_path / "original"
    target.write_bytes(b"somebody's video")
    before = target.stat()
    code = f"""
import os
try: os.{call.format(repr(str(target)))}; print("done")
except OSError: print("refused")
"""
    if call.startswith("unlink") and not has_landlock():
        pytest.skip("this kernel has no Landlock")
    assert output(code, file) == "refused\n"
    after = target.stat()
    assert target.read_bytes() == b"somebody's video"
    assert (after.st_mode, after.st_mtime_ns) == (before.st_mode, before.st_mtime_ns)


@linux
def test_it_connects_to_nothing(file: IO[bytes]) -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        code = f"""
import socket
try: socket.create_connection(("127.0.0.1", {server.getsockname()[1]}), timeout=5); print("connected")
except OSError: print("refused")
"""
        assert output(code, file) == "refused\n"


@linux
@pytest.mark.skipif(platform.machine() not in ("x86_64", "aarch64"), reason="no list of calls for this machine")
@pytest.mark.parametrize(
    "call",
    [
        "socket.socket(socket.AF_UNIX)",
        "socket.socketpair()",
        "os.kill(os.getppid(), 0)",
        "signal.pthread_kill(threading.get_ident(), 0)",
    ],
)
def test_it_cannot_call_others(file: IO[bytes], call: str) -> None:
    code = f"""
import os, signal, socket, threading
try: {call}; print("allowed")
except PermissionError: print("refused")
"""
    assert output(code, file) == "refused\n"


@linux
def test_it_gains_no_privileges_and_dumps_no_core(file: IO[bytes]) -> None:
    code = """
import ctypes, resource
print(ctypes.CDLL(None).prctl(39, 0, 0, 0, 0), resource.getrlimit(resource.RLIMIT_CORE)[1])
"""
    # PR_GET_NO_NEW_PRIVS is 39
    assert output(code, file) == "1 0\n"


@linux
def test_it_cannot_read_our_environment(file: IO[bytes]) -> None:
    code = f"""
try: open("/proc/{os.getpid()}/environ").read(); print("read")
except OSError: print("refused")
"""
    assert output(code, file) == "refused\n"


@linux
@pytest.mark.skipif(not has_landlock(), reason="this kernel has no Landlock")
def test_it_opens_no_files_but_its_libraries(file: IO[bytes], tmp_path: Path) -> None:
    secret = tmp_path / "secret"
    secret.write_text("secret")
    code = f"""
try: print(open({str(secret)!r}).read())
except PermissionError: print("refused")
"""
    assert output(code, file) == "refused\n"


@linux
def test_too_much_memory_is_refused_to_it(file: IO[bytes]) -> None:
    code = """
try: bytearray(1 << 30); print("given")
except MemoryError: print("refused")
"""
    assert output(code, file, Limits(wall_s=30, cpu_s=30, memory_bytes=1 << 29)) == "refused\n"


def test_too_much_cpu_time_ends_it(file: IO[bytes]) -> None:
    with (
        confined("while True: pass", file, Limits(wall_s=60, cpu_s=1, memory_bytes=1 << 30)) as process,
        pytest.raises(LimitExceeded),
    ):
        list(process.chunks())


def test_too_much_time_ends_it(file: IO[bytes]) -> None:
    limits = Limits(wall_s=0.5, cpu_s=30, memory_bytes=1 << 30)
    with confined("import time; time.sleep(60)", file, limits) as process, pytest.raises(LimitExceeded):
        list(process.chunks())
    assert not psutil.pid_exists(process.pid)


def test_pauses_of_the_reader_are_not_its_fault(file: IO[bytes]) -> None:
    limits = Limits(wall_s=2.0, cpu_s=30, memory_bytes=1 << 30)
    with confined("import os\nfor _ in range(40): os.write(1, bytes(1 << 20))", file, limits) as process:
        chunks = process.chunks()
        total = len(next(chunks)[1])
        time.sleep(2.2)  # longer than the child may take
        total += sum(len(data) for _, data in chunks)
    assert total == 40 << 20


def test_it_waits_for_a_reader_that_pauses(file: IO[bytes]) -> None:
    code = "import os, sys\nwhile True: os.write(1, bytes(1 << 16)); os.write(2, b'.')"
    with confined(code, file) as process:
        next(process.chunks())
        child = psutil.Process(process.pid)
        deadline = time.monotonic() + 20
        while child.status() != psutil.STATUS_SLEEPING and time.monotonic() < deadline:
            time.sleep(0.01)
        assert child.status() == psutil.STATUS_SLEEPING


def test_leaving_early_kills_and_reaps_it(file: IO[bytes]) -> None:
    with confined("import time; print(1, flush=True); time.sleep(60)", file) as process:
        next(process.chunks())
        assert psutil.pid_exists(process.pid)
    assert not psutil.pid_exists(process.pid)


def test_a_program_that_is_not_there_is_no_fault_of_the_file(file: IO[bytes], tmp_path: Path) -> None:
    with (
        ConfinedProcess([str(tmp_path / "none")], stdin=file, limits=LIMITS) as process,
        pytest.raises(Unavailable, match="cannot start"),
    ):
        list(process.chunks())


@linux
def test_it_outlives_the_thread_that_started_it_but_not_the_process(tmp_path: Path) -> None:
    program = f"""
import threading, sys, time
sys.path[:] = {sys.path!r}
from tests.contract.test_sandbox import confined
file = open({__file__!r}, "rb", buffering=0)
code = "import time, os; os.write(1, b'up'); time.sleep(600)"
def start():
    global process
    process = confined(code, file)
thread = threading.Thread(target=start); thread.start(); thread.join()
next(process.chunks())
print(process.pid, flush=True)
time.sleep(600)
"""
    parent = subprocess.Popen([sys.executable, "-c", program], stdout=subprocess.PIPE, text=True)
    try:
        assert parent.stdout is not None
        child = psutil.Process(int(parent.stdout.readline()))
        assert child.is_running()
        parent.send_signal(signal.SIGKILL)
        parent.wait()
        _, alive = psutil.wait_procs([child], timeout=10)
        assert not alive
    finally:
        parent.kill()
        parent.wait()
        parent.stdout.close()  # type: ignore[union-attr]
