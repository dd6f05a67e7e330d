"""`python -m bench.search`: one search of 10,000 videos on Milvus Lite, through `MilvusIndex` and by bare pymilvus,
before and after the flush; and what each index type of Milvus Lite makes of it."""

from __future__ import annotations

import statistics
import tempfile
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np

from bench.report import table, write
from tests.servers import milvus_lite, running
from vidrec.adapters.milvus import MilvusIndex
from vidrec.adapters.milvus.light import import_pymilvus
from vidrec.domain.embedding import normalise
from vidrec.domain.models import Embeddings, ModelVersion

VIDEOS = 10_000
DIMENSION = 512
CLUSTERS = 100
LIMIT = 100
ROUNDS = {"before the flush": 7, "flushed": 41}
KINDS: Mapping[str, Mapping[str, Any]] = {
    "IVF_FLAT, 1 list (ours)": {"index_type": "IVF_FLAT", "params": {"params": {"nlist": 1}}},
    "FLAT": {"index_type": "FLAT"},
    "IVF_FLAT, 128 lists": {"index_type": "IVF_FLAT", "params": {"params": {"nlist": 128}}},
    "HNSW": {"index_type": "HNSW", "params": {"params": {"M": 16, "efConstruction": 200}}},
}
MODEL = ModelVersion(version="bench", name="bench", dimension=DIMENSION, trained=True)


def main() -> None:
    rng = np.random.default_rng(7)
    centres = normalise(rng.normal(size=(CLUSTERS, DIMENSION)))
    vectors = normalise(
        centres[rng.integers(CLUSTERS, size=VIDEOS)] + 0.8 * normalise(rng.normal(size=(VIDEOS, DIMENSION)))
    )
    queries = normalise(
        vectors[rng.choice(VIDEOS, 5, replace=False)] + 0.1 * normalise(rng.normal(size=(5, DIMENSION)))
    )
    with tempfile.TemporaryDirectory() as folder, running(milvus_lite(Path(folder) / "vectors")) as server:
        index = MilvusIndex(server.uri, timeout_s=30.0)
        client = import_pymilvus().MilvusClient(server.uri)
        ours = _against_bare(index, client, vectors, queries)
        kinds = _by_index_type(client, vectors, queries)
        client.close()
        index.close()
    write("search", _text(ours, kinds))


def _against_bare(index: MilvusIndex, client: Any, vectors: Embeddings, queries: Embeddings) -> list[list[object]]:
    index.create(MODEL)
    _fill(client, MODEL.videos_collection, vectors, category="", duration_s=60.0)
    rows: list[list[object]] = []
    for state, rounds in ROUNDS.items():
        if state == "flushed":
            index.flush(MODEL)
            time.sleep(3)  # Milvus Lite builds the index in the background and does not tell when it has
        for nq in (1, 5):
            bare, ours = _in_turns(
                lambda nq=nq: _bare(client, MODEL.videos_collection, queries[:nq]),
                lambda nq=nq: index.search(MODEL, queries[:nq], limit=LIMIT),
                rounds=rounds,
            )
            rows.append([state, nq, f"{bare:.1f}", f"{ours:.1f}", f"{ours / bare:.2f}"])
    index.drop(MODEL)
    return rows


def _by_index_type(client: Any, vectors: Embeddings, queries: Embeddings) -> list[list[object]]:
    truth = np.argsort(-(queries @ vectors.T), axis=1)[:, :LIMIT]
    names = {kind: f"kind_{i}" for i, kind in enumerate(KINDS)}
    for kind, name in names.items():
        types = import_pymilvus().DataType
        schema = client.create_schema(auto_id=False, enable_dynamic_field=False)
        schema.add_field("id", types.VARCHAR, is_primary=True, max_length=64)
        schema.add_field("embedding", types.FLOAT_VECTOR, dim=DIMENSION)
        client.create_collection(name, schema=schema)
        parameters = client.prepare_index_params()
        parameters.add_index("embedding", metric_type="COSINE", **KINDS[kind])
        client.create_index(name, parameters)
        client.load_collection(name)
        _fill(client, name, vectors)
        client.flush(name)
    time.sleep(5)  # as above
    times = {
        nq: _in_turns(
            *(lambda name=name, nq=nq: _bare(client, name, queries[:nq]) for name in names.values()), rounds=15
        )
        for nq in (1, 5)
    }
    rows: list[list[object]] = []
    for i, (kind, name) in enumerate(names.items()):
        found = client.search(name, queries, anns_field="embedding", limit=LIMIT, output_fields=["id"])
        hit = [len(set(best) & {int(hit["id"]) for hit in hits}) for best, hits in zip(truth, found, strict=True)]
        rows.append([kind, f"{times[1][i]:.1f}", f"{times[5][i]:.1f}", f"{sum(hit) / truth.size:.3f}"])
    return rows


def _fill(client: Any, name: str, vectors: Embeddings, **extra: Any) -> None:
    rows = [{"id": f"{i:036d}", "embedding": vector, **extra} for i, vector in enumerate(vectors)]
    for start in range(0, len(rows), 500):
        client.upsert(name, rows[start : start + 500])


def _bare(client: Any, name: str, queries: Embeddings) -> object:
    """What a caller of pymilvus does for the same answer: ids, scores, vectors."""
    found = client.search(name, queries, anns_field="embedding", limit=LIMIT, output_fields=["embedding"])
    return [[(hit["id"], hit["distance"], hit["entity"]["embedding"]) for hit in hits] for hits in found]


def _in_turns(*calls: Callable[[], object], rounds: int) -> list[float]:
    """Median milliseconds of each, taken in turns."""
    times: list[list[float]] = [[] for _ in calls]
    for _ in range(rounds):
        for call, taken in zip(calls, times, strict=True):
            started = time.perf_counter()
            call()
            taken.append(1e3 * (time.perf_counter() - started))
    return [statistics.median(taken) for taken in times]


def _text(ours: list[list[object]], kinds: list[list[object]]) -> str:
    return "\n\n".join(
        [
            "## Search",
            f"{VIDEOS:,} videos of {DIMENSION} dimensions on Milvus Lite, the {LIMIT} nearest with their vectors, "
            "median milliseconds. Bare is pymilvus's own client on the same collection.",
            table(["state", "queries", "bare pymilvus", "MilvusIndex", "ratio"], ours),
            "By index type, flushed, bare pymilvus:",
            table(["index", "1 query", "5 queries", f"recall of the {LIMIT}"], kinds),
        ]
    )


if __name__ == "__main__":
    main()
