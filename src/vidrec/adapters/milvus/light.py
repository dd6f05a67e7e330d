"""Imports pymilvus without pandas.

pymilvus imports pandas (and that pyarrow) for the data frames of its old ORM interface, which `MilvusClient` never
touches: 138 MB and 3.0 s instead of 70 MB and 1.3 s, in every process of ours (measured with pymilvus 3.0.2 on two
cores). So while pymilvus is imported, and only then, a stand-in answers to the name pandas.
"""

from __future__ import annotations

import importlib
import logging
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from types import ModuleType
from typing import Any

_STOOD_IN = ("pandas", "pandas.api", "pandas.api.types")
_lock = threading.Lock()


class _Absent:
    """In place of every name in pandas: no object is an instance of it, and none can be made."""

    def __init__(self, *_args: Any, **_kwargs: Any) -> None:
        raise RuntimeError("this needs pandas, which was left out when pymilvus was imported")


class _StandIn(ModuleType):
    def __init__(self, name: str) -> None:
        super().__init__(name)
        self.__path__ = []

    def __getattr__(self, name: str) -> type:
        if name.startswith("__"):
            raise AttributeError(name)
        return _Absent


def import_pymilvus() -> Any:
    """The pymilvus module, quiet: what it logs, its exceptions say again."""
    with _lock:
        if "pymilvus" in sys.modules or "pandas" in sys.modules:
            pymilvus = importlib.import_module("pymilvus")
        else:
            with _pandas_left_out():
                pymilvus = importlib.import_module("pymilvus")
        for name in ("pymilvus", "pymilvus.milvus_client"):
            logging.getLogger(name).setLevel(logging.CRITICAL)
        return pymilvus


@contextmanager
def _pandas_left_out() -> Iterator[None]:
    sys.modules.update({name: _StandIn(name) for name in _STOOD_IN})
    try:
        yield
    finally:
        for name in _STOOD_IN:
            del sys.modules[name]
