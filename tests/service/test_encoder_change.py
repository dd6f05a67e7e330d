"""One encoder process while the model is changed: it holds two, and loads what a call names."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import httpx
import onnx
import pytest

from tests.encoders import encoder_server
from tests.servers import Server, free_port, running
from tests.tiny_model import store_tiny_model, tiny_graph
from vidrec.adapters.remote_encoder import RemoteEncoder
from vidrec.domain.errors import EncoderUnavailable, ModelVersionMismatch
from vidrec.model.add import add_model
from vidrec.model.frames import generated_frames

FRAMES = generated_frames(3, seed=1)


@pytest.fixture(scope="module")
def models(tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    """Three models in one folder."""
    folder = tmp_path_factory.mktemp("models")
    found = [store_tiny_model(folder)]
    for scale in (2.0, 3.0):
        file = folder / f"{scale}.onnx"
        onnx.save(tiny_graph(scale=scale), file)
        found.append(add_model(file, folder, name=f"scale {scale}", licence="none", trained=True))
    return found


@pytest.fixture(scope="module")
def server(models: list[Path], tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    folder = tmp_path_factory.mktemp("encoder")
    with running(encoder_server(models[0], folder, VIDREC_ENCODER_MODELS=str(models[0].parent))) as server:
        yield server


@pytest.fixture(scope="module")
def client(server: Server) -> Iterator[RemoteEncoder]:
    client = RemoteEncoder([server.uri], timeout_s=30)
    yield client
    client.close()


def test_it_loads_what_is_named_and_serves_both(client: RemoteEncoder, models: list[Path]) -> None:
    first, second, _ = (model.name for model in models)
    assert client.describe()["model_versions"] == sorted(model.name for model in models)
    assert client.serves(second)
    assert not client.serves("m000000000000")

    def encode(i: int) -> int:
        return client.encode(FRAMES, model_version=(first, second)[i % 2]).shape[1]

    with ThreadPoolExecutor(8) as pool:
        assert set(pool.map(encode, range(40))) == {48}


def test_of_three_the_one_that_nobody_asks_for_goes(client: RemoteEncoder, server: Server, models: list[Path]) -> None:
    for model in (*models, models[1], models[0]):
        assert client.encode(FRAMES, model_version=model.name).shape == (3, 48)

    def served() -> dict[str, str]:
        lines = httpx.get(f"{server.uri}/metrics", timeout=20).text.splitlines()
        return {line.split('"')[1]: line[-3:] for line in lines if line.startswith("vidrec_encoder_info")}

    assert served() == {models[0].name: "1.0", models[1].name: "1.0", models[2].name: "0.0"}


def test_what_is_not_there_or_broken_is_refused(client: RemoteEncoder, models: list[Path]) -> None:
    with pytest.raises(ModelVersionMismatch, match="not m000000000000"):
        client.encode(FRAMES, model_version="m000000000000")
    with pytest.raises(ModelVersionMismatch):
        client.encode(FRAMES, model_version="../" + models[0].name)
    broken = models[0].parent / "mbroken000000"
    broken.mkdir()
    (broken / "manifest.json").write_text("{}")
    with pytest.raises(ModelVersionMismatch, match="cannot be loaded"):
        client.encode(FRAMES, model_version=broken.name)
    assert client.encode(FRAMES, model_version=models[0].name).shape == (3, 48)


@pytest.mark.full
def test_encoders_of_different_models_are_told_apart(
    server: Server, models: list[Path], tmp_path_factory: pytest.TempPathFactory
) -> None:
    """Two fleets during a change: each call finds one that holds its version."""
    folder = tmp_path_factory.mktemp("other")
    with running(encoder_server(models[1], folder)) as alone:
        client = RemoteEncoder([alone.uri, server.uri, f"http://127.0.0.1:{free_port()}"], timeout_s=30)
        for model in models * 2:
            assert client.encode(FRAMES, model_version=model.name).shape == (3, 48)
            assert client.serves(model.name)
        client.close()
        client = RemoteEncoder([f"http://127.0.0.1:{free_port()}"], timeout_s=2)
        with pytest.raises(EncoderUnavailable):
            client.serves(models[0].name)
        client.close()
