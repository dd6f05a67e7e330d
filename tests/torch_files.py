"""Files as torch writes them, written without torch. `tests/full` reads files that torch itself wrote."""

from __future__ import annotations

import io
import pickle
import struct
import sys
import types
import zipfile
from collections import OrderedDict
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np

STORAGES = {"float32": "FloatStorage", "float16": "HalfStorage", "float64": "DoubleStorage", "int64": "LongStorage"}
MAGIC, PROTOCOL = 0x1950A86A20F9469CFC6C, 1001


class _Tensor:
    """Pickles as torch's tensors do."""

    def __init__(self, key: str, values: np.ndarray) -> None:
        self.key, self.values = key, values

    def __reduce__(self) -> tuple[Any, ...]:
        strides = tuple(step // self.values.itemsize for step in self.values.strides)
        rebuild = sys.modules["torch._utils"]._rebuild_tensor_v2
        return rebuild, (_Storage(self), 0, self.values.shape, strides, False, OrderedDict())


class _Storage:
    def __init__(self, tensor: _Tensor) -> None:
        self.tensor = tensor


class _Pickler(pickle.Pickler):
    old = False

    def persistent_id(self, value: object) -> Any:
        if not isinstance(value, _Storage):
            return None
        values = value.tensor.values
        kind = getattr(sys.modules["torch"], STORAGES[str(values.dtype)])
        return ("storage", kind, value.tensor.key, "cpu", values.size, *([None] if self.old else []))


def write_torch_file(
    path: Path, state: Mapping[str, np.ndarray], *, old: bool = False, wrap: str | None = None
) -> None:
    """Writes a state dict in the zip format, or in the one before release 1.6; `wrap`: inside a dict of that key."""
    tensors = OrderedDict((name, _Tensor(str(i), np.ascontiguousarray(v))) for i, (name, v) in enumerate(state.items()))
    whole: object = {wrap: tensors, "epoch": 3} if wrap else tensors
    with _torch_by_name():
        content = _old(whole, list(tensors.values())) if old else _zip(whole, list(tensors.values()))
    path.write_bytes(content)


def write_pickle(path: Path, value: object) -> None:
    """Any pickle in the place of a state dict, in the zip format."""
    with _torch_by_name():
        path.write_bytes(_zip(value, []))


def _pickled(value: object, *, old: bool) -> bytes:
    file = io.BytesIO()
    pickler = _Pickler(file, protocol=2)
    pickler.old = old
    pickler.dump(value)
    return file.getvalue()


def _zip(whole: object, tensors: list[_Tensor]) -> bytes:
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w") as archive:
        archive.writestr("archive/data.pkl", _pickled(whole, old=False))
        archive.writestr("archive/byteorder", "little")
        for tensor in tensors:
            archive.writestr(f"archive/data/{tensor.key}", tensor.values.tobytes())
    return file.getvalue()


def _old(whole: object, tensors: list[_Tensor]) -> bytes:
    head: list[object] = [MAGIC, PROTOCOL, {"little_endian": True, "protocol_version": PROTOCOL}, whole]
    parts = [_pickled(value, old=True) for value in (*head, [tensor.key for tensor in tensors])]
    parts += [struct.pack("<q", tensor.values.size) + tensor.values.tobytes() for tensor in tensors]
    return b"".join(parts)


@contextmanager
def _torch_by_name() -> Iterator[None]:
    """Modules named as torch's, so that names can be pickled; whatever was there comes back."""
    torch, utils = types.ModuleType("torch"), types.ModuleType("torch._utils")

    def rebuild(*_: object) -> None:
        raise AssertionError("only its name is needed")

    rebuild.__module__, rebuild.__qualname__, rebuild.__name__ = utils.__name__, *["_rebuild_tensor_v2"] * 2
    utils._rebuild_tensor_v2 = rebuild  # type: ignore[attr-defined]
    for name in STORAGES.values():
        setattr(torch, name, type(name, (), {"__module__": "torch"}))
    before = {name: sys.modules.get(name) for name in ("torch", "torch._utils")}
    sys.modules.update({"torch": torch, "torch._utils": utils})
    try:
        yield
    finally:
        for name, module in before.items():
            if module is None:
                del sys.modules[name]
            else:
                sys.modules[name] = module
