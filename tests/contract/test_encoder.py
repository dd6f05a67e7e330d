"""One suite for every Encoder: the fake, and the client of a real encoder service."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest

from tests.encoders import encoder_server
from tests.fakes.encoder import FakeEncoder
from tests.servers import free_port, running
from tests.tiny_model import store_tiny_model
from vidrec.adapters.remote_encoder import RemoteEncoder
from vidrec.application.ports import Encoder
from vidrec.domain.errors import EncoderUnavailable, ModelVersionMismatch
from vidrec.model.frames import generated_frames

FRAMES = generated_frames(70, seed=2)


@pytest.fixture(scope="module", params=["fake", "service"])
def encoder(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Encoder]:
    if request.param == "fake":
        yield FakeEncoder()
        return
    folder = tmp_path_factory.mktemp("encoder")
    with running(encoder_server(store_tiny_model(folder / "models"), folder)) as server:
        client = RemoteEncoder([f"http://127.0.0.1:{free_port()}", server.uri], timeout_s=20)
        yield client
        client.close()


@pytest.fixture
def version(encoder: Encoder) -> str:
    return str(encoder.describe()["model_version"])


@pytest.mark.parametrize("count", [1, 2, 32, 70])
def test_rows_are_normalised_and_in_order(encoder: Encoder, version: str, count: int) -> None:
    embeddings = encoder.encode(FRAMES[:count], model_version=version)
    assert embeddings.shape == (count, encoder.describe()["dimension"])
    assert embeddings.dtype == np.float32
    np.testing.assert_allclose(np.linalg.norm(embeddings, axis=1), 1.0, atol=1e-5)
    alone = encoder.encode(FRAMES[count - 1 : count], model_version=version)
    np.testing.assert_allclose(embeddings[-1], alone[0], atol=1e-5)


def test_frames_need_not_lie_in_one_piece(encoder: Encoder, version: str) -> None:
    every_other = encoder.encode(FRAMES[:8:2], model_version=version)
    np.testing.assert_allclose(every_other, encoder.encode(FRAMES[:8], model_version=version)[::2], atol=1e-5)


def test_another_model_version_is_refused(encoder: Encoder) -> None:
    with pytest.raises(ModelVersionMismatch):
        encoder.encode(FRAMES[:1], model_version="m000000000000")


def test_callers_get_their_own(encoder: Encoder, version: str) -> None:
    expected = encoder.encode(FRAMES[:32], model_version=version)
    start = threading.Barrier(32)

    def one(i: int) -> np.ndarray:
        start.wait()
        return encoder.encode(FRAMES[i : i + 1], model_version=version)[0]

    with ThreadPoolExecutor(32) as pool:
        found = list(pool.map(one, range(32)))
    np.testing.assert_allclose(np.stack(found), expected, atol=1e-5)


def test_nobody_there_is_unavailable() -> None:
    client = RemoteEncoder([f"http://127.0.0.1:{free_port()}"], timeout_s=2)
    with pytest.raises(EncoderUnavailable):
        client.describe()
    with pytest.raises(EncoderUnavailable):
        client.encode(FRAMES[:2], model_version="m000000000000")
    client.close()


def test_a_fake_that_is_off_is_unavailable() -> None:
    fake = FakeEncoder()
    fake.available = False
    with pytest.raises(EncoderUnavailable):
        fake.encode(FRAMES[:1], model_version=fake.model_version)


def test_another_server_is_no_encoder(tmp_path: Path) -> None:
    import http.server

    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), http.server.BaseHTTPRequestHandler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    client = RemoteEncoder([f"http://127.0.0.1:{server.server_port}"], timeout_s=5)
    with pytest.raises(EncoderUnavailable, match="501"):
        client.describe()
    client.close()
    server.shutdown()
    server.server_close()
