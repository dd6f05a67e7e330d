"""Training on generated pictures. Runs in the environment that holds torch: `make test-full`."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

torch = pytest.importorskip("torch", reason="the environment with torch is not here: make train-env")

from vidrec.domain.errors import Conflict, InvalidInput  # noqa: E402
from vidrec.model import built_in  # noqa: E402
from vidrec.model.default import ensure_default_model  # noqa: E402
from vidrec.model.export import checked  # noqa: E402
from vidrec.model.frames import generated_frames  # noqa: E402
from vidrec.model.graph import ARCHITECTURES, build_stages, state_shapes  # noqa: E402
from vidrec.model.manifest import load_model_dir  # noqa: E402
from vidrec.model.pictures import render  # noqa: E402
from vidrec.model.session import run_model  # noqa: E402
from vidrec.model.training import checkpoint  # noqa: E402
from vidrec.model.training import pack as packing  # noqa: E402
from vidrec.model.training.augment import augment  # noqa: E402
from vidrec.model.training.configuration import Configuration, settled  # noqa: E402
from vidrec.model.training.loop import ANNEALED, Limits, Training, locked  # noqa: E402
from vidrec.model.training.loss import alignment, uniformity  # noqa: E402
from vidrec.model.training.measure import STAGES, TuningSet, stage_statistics  # noqa: E402
from vidrec.model.training.network import Network, RunningAverage  # noqa: E402

SMALL = Configuration(side=32, crop=32, batch=8, window=64, warm_up=2)


@pytest.fixture(autouse=True)
def _one_thread() -> Iterator[None]:
    """Sums in the same order, so that what is compared can be equal to the last bit."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


def trained(folder: Path, until: int, configuration: Configuration = SMALL) -> dict[str, torch.Tensor]:
    training = Training(folder, configuration, device="cpu", workers=1)
    training.run(Limits(until=until), None, lambda _: None)
    return training.best().state_dict()


def test_going_on_is_the_same_as_never_having_stopped(tmp_path: Path) -> None:
    whole = trained(tmp_path / "whole", 6)
    trained(tmp_path / "parts", 2)
    parts = trained(tmp_path / "parts", 6)
    assert all(torch.equal(whole[name], parts[name]) for name in whole)
    first = trained(tmp_path / "first", 1)
    assert not all(torch.equal(whole[name], first[name]) for name in whole)


def test_annealing_is_a_branch(tmp_path: Path) -> None:
    trained(tmp_path, 2)
    steady = checkpoint.load_latest(tmp_path)
    assert steady is not None
    training = Training(tmp_path, SMALL, device="cpu", workers=1)
    last = training.anneal(3, Limits(), None, lambda _: None)
    assert last.step == 5
    [branch] = checkpoint.checkpoints(tmp_path / ANNEALED)
    assert branch.name == "step-00000005"
    assert checkpoint.checkpoints(tmp_path)[-1].name == "step-00000002"
    assert training.best() is not training._average.network


def test_an_interrupted_annealing_is_finished(tmp_path: Path) -> None:
    trained(tmp_path, 2)
    Training(tmp_path, SMALL, device="cpu", workers=1).anneal(4, Limits(minutes=0.0), None, lambda _: None)
    assert not checkpoint.checkpoints(tmp_path / ANNEALED)
    first = Training(tmp_path, SMALL, device="cpu", workers=1)

    def stop(progress: object) -> None:
        os.kill(os.getpid(), signal.SIGTERM)

    assert first.anneal(4, Limits(), None, stop).step == 3
    assert Training(tmp_path, SMALL, device="cpu", workers=1).anneal(4, Limits(), None, lambda _: None).step == 6


def test_other_weights_to_begin_with(tmp_path: Path) -> None:
    trained(tmp_path / "one", 2)
    larger = Configuration(**{**SMALL.model_dump(), "crop": 48, "side": 48})
    training = Training(tmp_path / "two", larger, device="cpu", workers=1)
    training.start_from(tmp_path / "one")
    assert training.run(Limits(until=3), None, lambda _: None).step == 3
    with pytest.raises(InvalidInput, match="holds no checkpoint"):
        training.start_from(tmp_path / "nowhere")
    deeper = Configuration(**{**SMALL.model_dump(), "arch": "resnet34"})
    with pytest.raises(InvalidInput, match="weights of another network"):
        Training(tmp_path / "three", deeper, device="cpu", workers=1).start_from(tmp_path / "one")


def test_two_trainings_in_one_folder_are_refused(tmp_path: Path) -> None:
    with locked(tmp_path), pytest.raises(Conflict, match="another process is training there"):
        trained(tmp_path, 1)


def test_checkpoints_are_whole_or_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(checkpoint, "PART_BYTES", 1000)
    for step in (1, 2, 3):
        checkpoint.save(tmp_path, step, {"step": step, "values": torch.arange(1000)})
    found = checkpoint.checkpoints(tmp_path)
    assert [path.name for path in found] == ["step-00000002", "step-00000003"]
    assert len(list(found[0].glob("part-*"))) > 4
    assert torch.equal(checkpoint.load(found[1])["values"], torch.arange(1000))
    part = found[1] / "part-001"
    part.write_bytes(part.read_bytes()[:-1] + b"?")
    with pytest.raises(InvalidInput, match="part-001 is not what was written") as error:
        checkpoint.load_latest(tmp_path)
    assert "\n" not in str(error.value)
    part.unlink()
    with pytest.raises(InvalidInput, match="damaged checkpoint"):
        checkpoint.load_latest(tmp_path)


def test_state_dict_is_torchvisions(tmp_path: Path) -> None:
    state = Network("resnet18").encoder.state_dict()
    for name, shape in state_shapes(ARCHITECTURES["resnet18"]).items():
        assert tuple(state[name].shape) == shape


def test_crops_are_drawn_from_the_generator() -> None:
    pictures = torch.from_numpy(np.stack([render(0, number, 0) for number in range(12)]))
    a, b, c = (augment(pictures, 48, torch.Generator().manual_seed(seed)) for seed in (1, 1, 2))
    assert a.shape == (12, 3, 48, 48)
    assert torch.equal(a, b)
    assert not torch.equal(a, c)
    assert a.min() >= -2.2
    assert a.max() <= 2.7


def test_the_loss_likes_close_pairs_that_are_spread() -> None:
    spread = torch.nn.functional.normalize(torch.randn(64, 16, generator=torch.Generator().manual_seed(0)))
    together = torch.nn.functional.normalize(spread * 0.1 + 1)
    assert alignment(spread, spread) == 0
    assert alignment(spread, -spread) == pytest.approx(4, rel=1e-5)
    assert uniformity(spread) < uniformity(together) < 0


def test_the_average_follows() -> None:
    network = torch.nn.BatchNorm1d(4)
    average = RunningAverage(network, 0.9)
    with torch.no_grad():
        network.weight.fill_(2)
    average.follow(network, 10**6)
    assert torch.allclose(average.network.weight, torch.full((4,), 1.1))


def test_statistics_of_stages() -> None:
    frames = np.stack([render(0, number, 0, 224) for number in range(3)])
    found = stage_statistics(Network("resnet18").encoder.eval(), frames, torch.device("cpu"))
    assert [part.shape for part in found] == [(3, 64 << stage) for stage in range(len(STAGES)) for _ in range(2)]


def test_statistics_are_those_of_the_encoders_graph() -> None:
    frames = np.stack([render(0, number, 0, 224) for number in range(3)])
    encoder = Network("resnet18").encoder.eval()
    weights = checked({name: value.numpy() for name, value in encoder.state_dict().items()}, "resnet18", "test")
    expected = run_model(build_stages("resnet18", weights), frames)
    found = np.concatenate(stage_statistics(encoder, frames, torch.device("cpu")), axis=1)
    np.testing.assert_allclose(found, expected, atol=1e-4)


def test_a_measure_is_noted(tmp_path: Path) -> None:
    frames = np.stack([render(0, number, view, 224) for number in range(4) for view in (0, 1)])
    tuning = TuningSet(frames, tuple("aabbccdd"), np.stack([render(1, n, 0, 224) for n in range(12)]))
    training = Training(tmp_path, SMALL, device="cpu", workers=1)
    last = training.run(Limits(until=1), tuning, lambda _: None)
    assert 0 < last.measured["readout"] <= 1
    assert json.loads((tmp_path / "progress.jsonl").read_text())["readout"] == last.measured["readout"]


def command(out: Path, *arguments: str) -> list[str]:
    small = ["--side", "32", "--crop", "32", "--batch", "8", "--window", "64", "--workers", "1", "--threads", "1"]
    return [sys.executable, "-m", "vidrec", "model", "train", "--out", str(out), *small, *arguments]


def test_it_goes_on_after_a_kill(tmp_path: Path) -> None:
    out = tmp_path / "training"
    running = subprocess.Popen(command(out, "--save-every", "0", "--device", "cpu"))
    try:
        deadline = time.monotonic() + 120
        while not checkpoint.checkpoints(out) and time.monotonic() < deadline:
            time.sleep(0.1)
    finally:
        running.kill()
        running.wait()
    before = settled(out, {})
    done = subprocess.run(command(out, "--until", "30", "--json"), capture_output=True, text=True, check=True)
    assert json.loads(done.stdout)["step"] >= 30
    assert settled(out, {}) == before
    assert not list(out.glob(".new-*"))


def test_ctrl_c_ends_with_a_checkpoint(tmp_path: Path) -> None:
    out = tmp_path / "training"
    running = subprocess.Popen(command(out, "--save-every", "0"), stderr=subprocess.PIPE, text=True)
    deadline = time.monotonic() + 120
    while not checkpoint.checkpoints(out) and time.monotonic() < deadline:
        time.sleep(0.1)
    running.send_signal(signal.SIGINT)
    _, said = running.communicate(timeout=60)
    assert running.returncode == 0
    assert said.startswith("step ")
    assert "Traceback" not in said


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["--device", "tpu"], "expected `cpu`, `cuda` or `auto`"),
        (["--tune", "/nowhere"], "cannot be read"),
        (["--anneal", "5"], "no checkpoint to anneal from"),
        (["--reuse", "0"], "reuse"),
    ],
)
def test_bad_input_is_one_sentence(arguments: list[str], said: str, tmp_path: Path) -> None:
    done = subprocess.run(command(tmp_path / "t", *arguments), capture_output=True, text=True, check=False)
    assert done.returncode == 2
    assert said in done.stderr
    assert done.stderr.count("\n") == 1


def test_too_few_pictures_to_tune_on(tmp_path: Path) -> None:
    (tmp_path / "photos" / "cat").mkdir(parents=True)
    arguments = command(tmp_path / "t", "--tune", str(tmp_path / "photos"))
    done = subprocess.run(arguments, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr.count("\n")) == (2, 1)
    assert "0 folders hold two pictures or more" in done.stderr
    assert not (tmp_path / "t").exists()


def test_a_training_is_packed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    trained(tmp_path / "training", 2)
    monkeypatch.setattr(packing, "fitting_pictures", lambda: generated_frames(64, seed=3))
    card = packing.pack(tmp_path / "training", tmp_path / "weights", dimension=32)
    assert (card.step, card.pictures, card.dimension) == (2, 32, 32)
    monkeypatch.setattr(built_in, "FOLDER", tmp_path / "weights")
    assert built_in.read_card() == card
    manifest = load_model_dir(ensure_default_model(tmp_path / "models"))
    assert (manifest.name, manifest.trained) == ("resnet18 built-in int8 stages 32", True)
    with pytest.raises(InvalidInput, match="holds no checkpoint"):
        packing.pack(tmp_path / "weights", tmp_path / "again", dimension=32)
    assert not (tmp_path / "again").exists()
