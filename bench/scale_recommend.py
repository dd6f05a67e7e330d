"""`python -m bench.scale_recommend`: what `/recommend` costs beside the one search that it makes, at 100,000 videos on
a Milvus server (2.3.5, of the `milvus` package)."""

from __future__ import annotations

import os
import tempfile
from pathlib import Path

from bench.recommend import DIMENSION, METHOD, SEGMENTS, measure, results
from bench.report import write
from tests.servers import milvus_server

VIDEOS = int(os.environ.get("BENCH_VIDEOS", "100000"))


def main() -> None:
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        found = measure(milvus_server(folder / "vectors"), folder, VIDEOS)
    text = f"""## /recommend at {VIDEOS:,} videos on a Milvus server

{VIDEOS:,} videos of {SEGMENTS} segments, {DIMENSION} dimensions, on a standalone Milvus 2.3.5, flushed and indexed
(HNSW); {METHOD} Measured on 2.3.5 alone.

{results(found, 3.0, 2.0)}"""
    if VIDEOS == 100_000:
        write("scale-recommend", text)
    else:
        print(text)


if __name__ == "__main__":
    main()
