"""State dicts from files that torch wrote, without torch: both its zip format and the one before release 1.6.

A pickle can name any function to be called. Here only those are known that put plain tensors together, and they are
reimplemented; anything else is refused, as `torch.load(weights_only=True)` does it."""

from __future__ import annotations

import io
import pickle
import struct
import zipfile
from collections import OrderedDict
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any

import numpy as np
import numpy.typing as npt

from vidrec.domain.errors import InvalidModel

Array = npt.NDArray[np.generic]

MAGIC, PROTOCOL = 0x1950A86A20F9469CFC6C, 1001
"""That the format before 1.6 begins with."""
TYPES = {
    "DoubleStorage": "<f8",
    "FloatStorage": "<f4",
    "HalfStorage": "<f2",
    "BFloat16Storage": "<u2",  # numpy has no bfloat16: the upper half of a float32
    "LongStorage": "<i8",
    "IntStorage": "<i4",
    "ShortStorage": "<i2",
    "CharStorage": "i1",
    "ByteStorage": "u1",
    "BoolStorage": "?",
}


class _Refused(Exception):
    """Something else than plain tensors."""


def read_torch_file(path: Path) -> Any:
    """What torch saved there, with arrays in place of tensors (bfloat16 as float32). InvalidModel where the file is
    damaged or holds more than plain tensors, numbers, texts and containers of them."""
    try:
        with path.open("rb") as file:
            return _read_zip(file) if zipfile.is_zipfile(file) else _read_old(file, path.stat().st_size)
    except Exception as error:  # hostile or damaged bytes make pickle and zipfile raise whatever they stumble over
        reason = str(error).splitlines()[0] if str(error) else type(error).__name__
        raise InvalidModel(
            f"{path}: not a whole torch checkpoint of plain tensors ({reason})", field="weights"
        ) from None


@dataclass(frozen=True, slots=True)
class _StorageType:
    """Stands for `torch.FloatStorage` and its like."""

    name: str

    @property
    def dtype(self) -> np.dtype[np.generic]:
        return np.dtype(TYPES[self.name])


@dataclass(slots=True)
class _Storage:
    """Values of one storage; several tensors may lie in it."""

    kind: _StorageType
    values: Array


class _Unpickler(pickle.Unpickler):
    """Knows the few names that state dicts consist of; storages come from `load_storage`."""

    def __init__(self, file: IO[bytes], storages: _Storages) -> None:
        super().__init__(file, encoding="utf-8")
        self._storages = storages

    def find_class(self, module: str, name: str) -> Any:
        known = _KNOWN.get(f"{module}.{name}")
        if known is not None:
            return known
        if module in ("torch", "torch.cuda") and name in TYPES:
            return _StorageType(name)
        raise _Refused(f"it names {module}.{name}")

    def persistent_load(self, pid: Any) -> _Storage:
        if not (isinstance(pid, tuple) and len(pid) >= 5 and pid[0] == "storage" and isinstance(pid[1], _StorageType)):
            raise _Refused("it names a storage of an unknown kind")
        if len(pid) > 5 and pid[5] is not None:
            raise _Refused("it holds views of storages, as releases before 0.4 wrote them")
        return self._storages.get(str(pid[2]), pid[1], int(pid[4]))


class _Storages:
    """All storages that were asked for, by key."""

    def __init__(self, most_bytes: int) -> None:
        self.found: dict[str, _Storage] = {}
        self._left = most_bytes

    def get(self, key: str, kind: _StorageType, count: int) -> _Storage:
        if key not in self.found:
            self._left -= count * kind.dtype.itemsize
            if count < 0 or self._left < 0:
                raise _Refused("it names more values than the file has bytes")
            self.found[key] = _Storage(kind, self._values(key, kind, count))
        return self.found[key]

    def _values(self, key: str, kind: _StorageType, count: int) -> Array:
        """Of the old format: filled later, since the values follow the pickle."""
        if kind.name == "BFloat16Storage":
            raise _Refused("it holds bfloat16, which that format never did")
        return np.zeros(count, dtype=kind.dtype)


class _ZippedStorages(_Storages):
    """Storages that are files of a zip."""

    def __init__(self, archive: zipfile.ZipFile, folder: str, most_bytes: int) -> None:
        super().__init__(most_bytes)
        self._archive, self._folder = archive, folder

    def _values(self, key: str, kind: _StorageType, count: int) -> Array:
        content = self._archive.read(f"{self._folder}/data/{key}")
        return np.frombuffer(content, dtype=kind.dtype, count=count)


def _read_zip(file: IO[bytes]) -> Any:
    with zipfile.ZipFile(file) as archive:
        [pickled] = [name for name in archive.namelist() if name.endswith("/data.pkl")]
        folder = pickled.removesuffix("/data.pkl")
        if f"{folder}/byteorder" in archive.namelist() and archive.read(f"{folder}/byteorder") != b"little":
            raise _Refused("it was written by a big-endian machine")
        sizes = {entry.filename: entry.compress_size for entry in archive.infolist()}
        if any(entry.file_size > entry.compress_size for entry in archive.infolist()):
            raise _Refused("it is compressed, which torch never does")
        storages = _ZippedStorages(archive, folder, sum(sizes.values()))
        return _Unpickler(io.BytesIO(archive.read(pickled)), storages).load()


def _read_old(file: IO[bytes], size: int) -> Any:
    file.seek(0)
    storages = _Storages(size)

    def load() -> Any:
        return _Unpickler(file, storages).load()

    if load() != MAGIC or load() != PROTOCOL:
        raise _Refused("it does not begin as torch's files do")
    if not load().get("little_endian", True):
        raise _Refused("it was written by a big-endian machine")
    found = load()
    for key in load():
        storage = storages.found[str(key)]
        [count] = struct.unpack("<q", file.read(8))
        content = file.read(count * storage.kind.dtype.itemsize)
        if count != len(storage.values) or len(content) != storage.values.nbytes:
            raise _Refused("it is cut short")
        storage.values[:] = np.frombuffer(content, dtype=storage.kind.dtype)
    return found


def _rebuild_tensor(
    storage: _Storage, offset: int, size: tuple[int, ...], stride: tuple[int, ...], *_: object
) -> Array:
    """The values of a storage that a tensor shows. Bounds are checked here: strides are not to be trusted."""
    last = offset + sum((n - 1) * step for n, step in zip(size, stride, strict=True))
    if min((offset, *size, *stride)) < 0 or (0 not in size and last >= len(storage.values)):
        raise _Refused("a tensor reaches beyond its storage")
    values = storage.values[offset:]
    shown = np.lib.stride_tricks.as_strided(values, size, [step * values.itemsize for step in stride], writeable=False)
    if storage.kind.name == "BFloat16Storage":
        return np.asarray((shown.astype(np.uint32) << 16).view(np.float32))
    return shown


def _rebuild_parameter(data: Array, *_: object) -> Array:
    return data


_KNOWN = {
    "collections.OrderedDict": OrderedDict,
    "torch._utils._rebuild_tensor": _rebuild_tensor,
    "torch._utils._rebuild_tensor_v2": _rebuild_tensor,
    "torch._utils._rebuild_parameter": _rebuild_parameter,
}
