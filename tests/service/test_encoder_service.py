"""The encoder service over HTTP: what it refuses, how it sheds load, how it begins and ends."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import httpx
import psutil
import pytest

from tests.encoders import encoder_server, ready_at
from tests.servers import Server, ServerFailed, free_port, running, wait_until
from tests.tiny_model import store_tiny_model
from vidrec.model.frames import generated_frames
from vidrec.supervisor.commands import encoder_command

ROOT = Path(__file__).parents[2]
FRAME = generated_frames(1, seed=1)[0].tobytes()


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return store_tiny_model(tmp_path_factory.mktemp("models"))


@pytest.fixture(scope="module")
def server(model: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    folder = tmp_path_factory.mktemp("encoder")
    with running(encoder_server(model, folder, VIDREC_ENCODER_QUEUE="64")) as server:
        yield server


@pytest.fixture(scope="module")
def client(server: Server) -> Iterator[httpx.Client]:
    with httpx.Client(base_url=server.uri, timeout=20) as client:
        yield client


def post(client: httpx.Client, path: str, body: bytes, version: str) -> httpx.Response:
    return client.post(path, content=body, params={"model_version": version})


def test_it_says_what_it_serves(client: httpx.Client, model: Path) -> None:
    said = client.get("/v1/describe").json()
    assert said["model_version"] == model.name
    assert (said["dimension"], said["provider"], said["trained"], said["ready"]) == (48, "cpu", True, True)


def test_every_answer_names_the_model_version(client: httpx.Client, model: Path) -> None:
    answer = post(client, "/v1/encode", FRAME * 3, model.name)
    assert answer.headers["x-model-version"] == model.name
    assert len(answer.content) == 3 * 48 * 4


@pytest.mark.parametrize(
    ("path", "body", "status", "told"),
    [
        ("/v1/encode", b"", 422, "0 bytes"),
        ("/v1/encode", FRAME[:-1], 422, "expected 1 to 64 frames"),
        ("/v1/encode", FRAME * 65, 422, "expected 1 to 64 frames"),
        ("/v1/encode_image", FRAME * 2, 422, "expected 1 to 1 frames"),
        ("/v1/decode", FRAME, 404, "there is no POST /v1/decode"),
    ],
)
def test_bad_bodies_are_refused_with_a_reason(
    client: httpx.Client, model: Path, path: str, body: bytes, status: int, told: str
) -> None:
    answer = post(client, path, body, model.name)
    assert answer.status_code == status
    assert answer.headers["content-type"] == "application/problem+json"
    assert told in answer.json()["detail"]


def test_the_model_version_must_be_named_and_right(client: httpx.Client, model: Path) -> None:
    assert client.post("/v1/encode", content=FRAME).status_code == 422
    answer = post(client, "/v1/encode", FRAME, "m000000000000")
    assert answer.status_code == 409
    assert model.name in answer.json()["detail"]


def test_a_body_of_unknown_length_is_refused(client: httpx.Client, model: Path) -> None:
    answer = client.post("/v1/encode", content=iter([FRAME]), params={"model_version": model.name})
    assert answer.status_code == 422
    assert "Content-Length" in answer.json()["detail"]


def test_the_wrong_method_is_405(client: httpx.Client) -> None:
    assert client.get("/v1/encode").status_code == 405


def test_a_full_queue_answers_429_and_goes_on(server: Server, model: Path) -> None:
    """The queue holds 64 frames; many batches of 64 at once do not fit."""
    start = threading.Barrier(12)

    def one(_: int) -> httpx.Response:
        start.wait()
        return httpx.post(
            f"{server.uri}/v1/encode", content=FRAME * 64, params={"model_version": model.name}, timeout=30
        )

    with ThreadPoolExecutor(12) as pool:
        answers = list(pool.map(one, range(12)))
    statuses = {answer.status_code for answer in answers}
    assert statuses == {200, 429}
    refused = next(answer for answer in answers if answer.status_code == 429)
    assert int(refused.headers["retry-after"]) >= 1
    with httpx.Client(base_url=server.uri) as client:
        assert post(client, "/v1/encode", FRAME, model.name).status_code == 200


def test_metrics_count_frames_batches_and_waits(client: httpx.Client, model: Path) -> None:
    def frames() -> float:
        lines = client.get("/metrics").text.splitlines()
        return sum(float(line.rsplit(" ", 1)[1]) for line in lines if line.startswith("vidrec_encoder_frames_total"))

    before = frames()
    post(client, "/v1/encode", FRAME * 5, model.name)
    assert frames() == before + 5
    text = client.get("/metrics").text
    for name in ("batch_frames_bucket", "wait_seconds_count", "inference_seconds_count", "info", "rejected_total"):
        assert f"vidrec_encoder_{name}" in text
    assert 'provider="cpu"' in text


def test_it_stays_small(server: Server) -> None:
    root = psutil.Process(server.pid)
    assert sum(p.memory_info().rss for p in [root, *root.children(recursive=True)]) < 500 << 20


def test_a_gpu_that_is_not_granted_is_no_silent_cpu(model: Path, tmp_path: Path) -> None:
    with pytest.raises(ServerFailed, match="a GPU was asked for"):
        encoder_server(model, tmp_path, VIDREC_ENCODER_PROVIDER="cuda").start()


def test_no_model_is_one_sentence(tmp_path: Path) -> None:
    with pytest.raises(ServerFailed) as failed:
        encoder_server(tmp_path, tmp_path).start()
    assert "expected a folder made by" in str(failed.value)
    assert "Traceback" not in str(failed.value)


@pytest.mark.full
@pytest.mark.parametrize("name", ["VIDREC_LEASES_S", "VIDREC_ENCODER_MODLE"])
def test_a_misspelt_setting_is_one_sentence(name: str, model: Path, tmp_path: Path) -> None:
    with pytest.raises(ServerFailed) as failed:
        encoder_server(model, tmp_path, **{name: "x"}).start()
    assert f"error: {name} is not a setting" in str(failed.value)
    assert "Traceback" not in str(failed.value)


def test_kill_9_of_the_parent_leaves_nothing(model: Path, tmp_path: Path) -> None:
    server = encoder_server(model, tmp_path)
    server.start()
    family = [psutil.Process(server.pid), *psutil.Process(server.pid).children(recursive=True)]
    assert len(family) > 1
    server.kill()
    _, alive = psutil.wait_procs(family, timeout=20)
    assert alive == []


def test_a_parent_that_dies_during_the_start_leaves_nothing(model: Path, tmp_path: Path) -> None:
    """As Ctrl-C right after the start: the worker is there, but has not noted its parent yet."""
    command, variables = encoder_command(model, port=free_port(), home=tmp_path)
    with subprocess.Popen(command, env={**os.environ, **variables}, stderr=subprocess.DEVNULL) as main:
        family: list[psutil.Process] = []

        def has_worker() -> bool:
            family[:] = psutil.Process(main.pid).children(recursive=True)
            return any("worker.service" in " ".join(process.cmdline()) for process in family)

        wait_until(has_worker, timeout_s=60)
        main.kill()
    _, alive = psutil.wait_procs(family, timeout=20)
    assert alive == []


def test_what_was_accepted_is_answered_when_it_ends(model: Path, tmp_path: Path) -> None:
    with running(encoder_server(model, tmp_path)) as server, ThreadPoolExecutor(4) as pool:
        url, version = f"{server.uri}/v1/encode", {"model_version": model.name}
        begun = [pool.submit(httpx.post, url, content=FRAME * 64, params=version, timeout=30) for _ in range(3)]
        wait_until(lambda: "vidrec_encoder_waiting_frames 0.0" not in httpx.get(f"{server.uri}/metrics").text)
        os.kill(server.pid, 15)
        assert {future.result().status_code for future in begun} <= {200, 503}
        assert any(future.result().status_code == 200 for future in begun)


@pytest.mark.full
def test_vidrec_encoder_is_the_service_and_answers_what_it_accepted(model: Path, tmp_path: Path) -> None:
    port = free_port()
    command = [sys.executable, "-m", "vidrec", "encoder", "--port", str(port), "--data", str(tmp_path / "data")]
    server = Server(command, port, tmp_path / "log", ready=ready_at(port), env={"VIDREC_ENCODER_MODEL": str(model)})
    with running(server), ThreadPoolExecutor(4) as pool:
        assert "bentoml" in " ".join(psutil.Process(server.pid).cmdline())
        url, version = f"{server.uri}/v1/encode", {"model_version": model.name}
        begun = [pool.submit(httpx.post, url, content=FRAME * 64, params=version, timeout=30) for _ in range(3)]
        wait_until(lambda: "vidrec_encoder_waiting_frames 0.0" not in httpx.get(f"{server.uri}/metrics").text)
        family = [psutil.Process(server.pid), *psutil.Process(server.pid).children(recursive=True)]
        os.kill(server.pid, signal.SIGTERM)
        assert any(future.result().status_code == 200 for future in begun)
        assert not psutil.wait_procs(family, timeout=20)[1]


def test_it_neither_reports_home_nor_writes_there(model: Path, tmp_path: Path) -> None:
    home = tmp_path / "home"
    home.mkdir()
    with running(encoder_server(model, tmp_path, HOME=str(home))):
        pass
    assert list(home.rglob("*")) == []


@pytest.mark.full
@pytest.mark.parametrize(
    ("file", "runtime"), [("bentofile.yaml", "onnxruntime-gpu=="), ("bento/cpu.yaml", "onnxruntime==")]
)
def test_the_bento_builds(file: str, runtime: str, tmp_path: Path) -> None:
    command, variables = encoder_command(tmp_path, port=0, home=tmp_path)
    built = subprocess.run(
        [command[0], "-m", "bentoml", "build", "--bentofile", file, "--output", "tag", "."],
        cwd=ROOT,
        env={**os.environ, **variables, "PATH": f"{ROOT / '.uv' / 'bin'}{os.pathsep}{os.environ['PATH']}"},
        capture_output=True,
        text=True,
        timeout=280,
    )
    assert built.returncode == 0, built.stderr
    assert "encoder" in built.stdout
    [bento] = (tmp_path / "bentos").glob("*/*/src")
    requirements = (bento.parent / "env" / "python" / "requirements.txt").read_text().splitlines()
    assert any(line.startswith(runtime) for line in requirements)
    assert (bento / "bento" / "encoder.py").is_file()
    assert (bento / "vidrec" / "model" / "manifest.py").is_file()  # BentoML flattens a src layout
    assert {path.name for path in bento.iterdir()} == {
        *("bento", "vidrec"),
        *("README.md", "LICENSE", "bentofile.yaml"),
    }
