"""Exports beside torch. Runs in the environment that holds it, though an export needs none: `make test-full`."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

torch = pytest.importorskip("torch", reason="the environment with torch is not here: make train-env")

from torchvision import models  # noqa: E402

from vidrec.domain.errors import InvalidModel  # noqa: E402
from vidrec.model.export import export  # noqa: E402
from vidrec.model.frames import generated_frames  # noqa: E402
from vidrec.model.graph import ARCHITECTURES, MEAN, STD  # noqa: E402
from vidrec.model.manifest import ONNX_FILE, load_model_dir  # noqa: E402
from vidrec.model.session import run_model  # noqa: E402
from vidrec.model.torch_file import read_torch_file  # noqa: E402

FRAMES = generated_frames(4, seed=21)


def random_resnet(arch: str) -> torch.nn.Module:
    """A torchvision ResNet with seeded random weights and statistics that normalise like trained ones.

    As in trained networks, residual branches are small beside their shortcuts: with large ones, 152 layers amplify
    rounding until torch in float32 is itself 2e-5 away from torch in float64."""
    torch.manual_seed(5)
    network = models.get_model(arch)
    network.train()
    with torch.no_grad():
        for module in network.modules():
            if isinstance(module, torch.nn.BatchNorm2d):
                module.momentum = 1.0
                module.weight.uniform_(0.5, 1.5)
                module.bias.uniform_(-0.2, 0.2)
        for module in network.modules():
            if isinstance(module, models.resnet.BasicBlock | models.resnet.Bottleneck):
                last = module.bn3 if hasattr(module, "bn3") else module.bn2
                last.weight.uniform_(0.1, 0.5)
        network(preprocessed())
    return network.eval()


def preprocessed() -> torch.Tensor:
    x = torch.from_numpy(FRAMES).permute(0, 3, 1, 2).float() / 255
    mean, std = (torch.tensor(v, dtype=torch.float32).view(1, 3, 1, 1) for v in (MEAN, STD))
    return (x - mean) / std


def embedded(network: torch.nn.Module) -> np.ndarray:
    network.fc = torch.nn.Identity()
    with torch.no_grad():
        return torch.nn.functional.normalize(network(preprocessed())).numpy()


@pytest.fixture
def checkpoint(tmp_path: Path) -> Path:
    path = tmp_path / "resnet18.pth"
    torch.save(random_resnet("resnet18").state_dict(), path)
    return path


@pytest.mark.parametrize("arch", ARCHITECTURES)
def test_every_depth_is_what_torch_computes(arch: str, tmp_path: Path) -> None:
    network = random_resnet(arch)
    torch.save(network.state_dict(), tmp_path / "weights.pth")
    folder = export(arch, str(tmp_path / "weights.pth"), tmp_path / "models")
    manifest = load_model_dir(folder)
    assert (manifest.architecture, manifest.dimension) == (arch, ARCHITECTURES[arch].dimension)
    assert manifest.trained
    found = run_model(folder / ONNX_FILE, FRAMES)
    difference = np.abs(found - embedded(network)).max()
    assert difference <= 1e-5, difference


@pytest.mark.parametrize(("precision", "least"), [("fp16", 0.999), ("int8", 0.97)])
def test_lower_precisions_stay_close(checkpoint: Path, tmp_path: Path, precision: str, least: float) -> None:
    folder = export("resnet18", str(checkpoint), tmp_path / "models", precision=precision)
    assert load_model_dir(folder).precision == precision
    found = run_model(folder / ONNX_FILE, FRAMES)
    assert (found * embedded(random_resnet("resnet18"))).sum(axis=1).min() >= least


@pytest.mark.parametrize("new", [True, False], ids=["zip", "before 1.6"])
def test_what_torch_wrote_is_read_without_it(new: bool, tmp_path: Path) -> None:
    base = torch.arange(60, dtype=torch.float32).reshape(3, 4, 5)
    state = {
        "part": base[1:, ::2, 1:4],
        "turned": base.permute(2, 0, 1),
        "half": base.half(),
        "double": base.double(),
        "count": torch.tensor(5),
        "flags": torch.tensor([True, False]),
        "parameter": torch.nn.Parameter(base[0]),
    }
    if new:
        state["bfloat16"] = base.bfloat16()
    torch.save({"state_dict": state, "epoch": 3}, tmp_path / "file.pth", _use_new_zipfile_serialization=new)
    found = read_torch_file(tmp_path / "file.pth")["state_dict"]
    assert list(found) == list(state)
    for name, value in state.items():
        np.testing.assert_array_equal(found[name], value.detach().float().numpy())


@pytest.mark.parametrize("wrap", [{"state_dict": "module."}, {"model": ""}], ids=["DataParallel", "model"])
def test_wrapped_checkpoints_are_taken(wrap: dict[str, str], tmp_path: Path) -> None:
    [(key, prefix)] = wrap.items()
    state = {prefix + name: value for name, value in random_resnet("resnet18").state_dict().items()}
    torch.save({key: state, "epoch": 3}, tmp_path / "wrapped.pth")
    assert export("resnet18", str(tmp_path / "wrapped.pth"), tmp_path / "models").is_dir()


def refused(path: Path, tmp_path: Path, arch: str = "resnet18") -> str:
    with pytest.raises(InvalidModel) as error:
        export(arch, str(path), tmp_path / "models")
    assert not list((tmp_path / "models").glob("*"))
    assert "\n" not in str(error.value)
    return str(error.value)


def test_another_depth_is_refused(checkpoint: Path, tmp_path: Path) -> None:
    assert "not the weights of a torchvision resnet34" in refused(checkpoint, tmp_path, "resnet34")
    assert "not the weights of a torchvision resnet50" in refused(checkpoint, tmp_path, "resnet50")
    torch.save(random_resnet("resnet34").state_dict(), tmp_path / "deeper.pth")
    assert "deeper" in refused(tmp_path / "deeper.pth", tmp_path)


def test_a_truncated_checkpoint_is_refused(checkpoint: Path, tmp_path: Path) -> None:
    (tmp_path / "cut.pth").write_bytes(checkpoint.read_bytes()[:100_000])
    assert "not a whole torch checkpoint" in refused(tmp_path / "cut.pth", tmp_path)


def test_what_is_no_checkpoint_is_refused(tmp_path: Path) -> None:
    (tmp_path / "x.pth").write_text("no checkpoint")
    assert "not a whole torch checkpoint" in refused(tmp_path / "x.pth", tmp_path)
    torch.save([1, 2], tmp_path / "list.pth")
    assert "no state dict" in refused(tmp_path / "list.pth", tmp_path)
    assert "no such file" in refused(tmp_path / "nowhere.pth", tmp_path)


def test_a_resnet_of_another_family_is_refused(test_data: Path, tmp_path: Path) -> None:
    """ResNet-20 for CIFAR: the same words, other layers."""
    [path] = (test_data / "weights").glob("resnet20*")
    assert "not the weights of a torchvision resnet18" in refused(path, tmp_path)


def test_a_real_truncated_checkpoint_is_refused(test_data: Path, tmp_path: Path) -> None:
    files = [path for path in (test_data / "broken" / "weights").iterdir() if path.is_file()]
    assert files
    for path in files:
        assert "not a whole torch checkpoint" in refused(path, tmp_path)
