"""An ONNX encoder in this process: what the encoder service runs."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any, Literal

import numpy as np
import onnxruntime as ort

from vidrec.domain.errors import EncoderUnavailable, InvalidModel
from vidrec.domain.models import Embeddings, Frames

Provider = Literal["cpu", "cuda"]
BUCKETS = (1, 2, 4, 8, 16, 32, 64)
"""Batch sizes that a GPU sees: its memory arena and its kernel choices are made once for each and then reused
(onnxruntime issue 22297: the arena keeps its peak)."""


def usable_cpus() -> int:
    """Processors that this process may run on."""
    return len(os.sched_getaffinity(0))


class OnnxEncoder:
    """Frames in, embeddings out, by one onnxruntime session. `run` is for one thread at a time.

    InvalidModel where the file is no encoder; EncoderUnavailable where CUDA was asked for and is not granted: there is
    no silent way back to the CPU (onnxruntime issue 23372).
    """

    def __init__(
        self,
        onnx_path: Path,
        *,
        dimension: int | None = None,
        provider: Provider = "cpu",
        threads: int | None = None,
        gpu_mem_limit: int | None = None,
    ) -> None:
        """`dimension`: expected width of the embeddings; None: whatever the graph says. `threads`: of one inference on
        the CPU; None: all usable ones. `gpu_mem_limit`: bytes of the CUDA arena."""
        self.provider = provider
        self._session = _open(onnx_path, provider, threads or usable_cpus(), gpu_mem_limit)
        self._input = self._session.get_inputs()[0].name
        output = self._session.get_outputs()[0]
        self._output = output.name
        width = output.shape[-1]
        if dimension is not None and isinstance(width, int) and width != dimension:
            raise InvalidModel(f"{onnx_path}: gives {width} values a frame, expected {dimension}", field=str(onnx_path))
        self.dimension = dimension if dimension is not None else int(width)
        self._buffers = _CudaBuffers(self._session, self.dimension) if provider == "cuda" else None

    @property
    def batch_sizes(self) -> tuple[int, ...]:
        """Batch sizes worth running before the first request."""
        return BUCKETS if self._buffers else (1, 32)

    def run(self, frames: Frames) -> Embeddings:
        """(n, 224, 224, 3) uint8 RGB, n >= 1 -> (n, d) float32 in the same order."""
        if self._buffers:
            return self._buffers.run(frames)
        result: Embeddings = self._session.run([self._output], {self._input: frames})[0]
        return result

    def warm_up(self) -> None:
        """Runs each of `batch_sizes` once."""
        for size in self.batch_sizes:
            self.run(np.zeros((size, 224, 224, 3), dtype=np.uint8))


def _open(path: Path, provider: Provider, threads: int, gpu_mem_limit: int | None) -> ort.InferenceSession:
    options = ort.SessionOptions()
    options.intra_op_num_threads = threads
    options.log_severity_level = 3
    # Idle threads that spin would take the cores from ffmpeg and from the event loop.
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")
    providers: list[Any] = ["CPUExecutionProvider"]
    if provider == "cuda":
        cuda: dict[str, Any] = {"cudnn_conv_algo_search": "EXHAUSTIVE", "use_tf32": 1}
        if gpu_mem_limit:
            cuda |= {"gpu_mem_limit": gpu_mem_limit, "arena_extend_strategy": "kSameAsRequested"}
        _preload_cuda()
        providers.insert(0, ("CUDAExecutionProvider", cuda))
    try:
        session = ort.InferenceSession(str(path), options, providers=providers)
    except Exception as error:  # onnxruntime's errors have no common base but Exception
        raise InvalidModel(f"{path}: onnxruntime cannot load it: {_first_line(error)}", field=str(path)) from None
    if provider == "cuda" and session.get_providers()[0] != "CUDAExecutionProvider":
        raise EncoderUnavailable(
            "a GPU was asked for and CUDA could not be loaded: install onnxruntime-gpu (the `gpu` extra) and a driver "
            "that fits it, or set VIDREC_ENCODER_PROVIDER=cpu"
        )
    return session


def _preload_cuda() -> None:
    """Lets onnxruntime find the CUDA libraries that pip installed, where it can."""
    if hasattr(ort, "preload_dlls"):
        ort.preload_dlls()


def _first_line(error: Exception) -> str:
    return str(error).splitlines()[0] if str(error) else type(error).__name__


class _CudaBuffers:
    """Inputs and outputs that stay on the device, one pair a bucket, bound once (onnxruntime's IO binding)."""

    def __init__(self, session: ort.InferenceSession, dimension: int) -> None:
        self._session = session
        self._input = session.get_inputs()[0].name
        self._output = session.get_outputs()[0].name
        self._dimension = dimension
        self._bound: dict[int, tuple[Any, Any, Any]] = {}

    def run(self, frames: Frames) -> Embeddings:
        """Any number of frames: the largest bucket as often as it fits, then the smallest that holds the rest."""
        parts = []
        for start in range(0, len(frames), BUCKETS[-1]):
            part = frames[start : start + BUCKETS[-1]]
            parts.append(self._run_bucket(part))
        return parts[0] if len(parts) == 1 else np.concatenate(parts)

    def _run_bucket(self, frames: Frames) -> Embeddings:
        count = len(frames)
        size = next(bucket for bucket in BUCKETS if bucket >= count)
        if count < size:
            frames = np.concatenate([frames, np.zeros((size - count, *frames.shape[1:]), dtype=np.uint8)])
        binding, device_in, device_out = self._binding(size)
        device_in.update_inplace(np.ascontiguousarray(frames))
        self._session.run_with_iobinding(binding)
        result: Embeddings = device_out.numpy()[:count]
        return result

    def _binding(self, size: int) -> tuple[Any, Any, Any]:
        if size not in self._bound:
            device_in = ort.OrtValue.ortvalue_from_shape_and_type((size, 224, 224, 3), np.uint8, "cuda", 0)
            device_out = ort.OrtValue.ortvalue_from_shape_and_type((size, self._dimension), np.float32, "cuda", 0)
            binding = self._session.io_binding()
            binding.bind_ortvalue_input(self._input, device_in)
            binding.bind_ortvalue_output(self._output, device_out)
            self._bound[size] = (binding, device_in, device_out)
        return self._bound[size]
