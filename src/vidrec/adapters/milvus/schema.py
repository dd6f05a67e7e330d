"""The collections' fields and indexes."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from vidrec.adapters.milvus.connection import PATIENT_S, Client
from vidrec.adapters.milvus.light import import_pymilvus

_FLAT: dict[str, Any] = {"index_type": "FLAT", "params": {}}
# Also exact, and faster on Milvus Lite (docs/benchmarks.md): a single list is searched by faiss, where FLAT is a few
# lines of numpy that normalise every row for every search. Lite reads parameters below a second "params" alone.
_ONE_LIST = {"index_type": "IVF_FLAT", "params": {"params": {"nlist": 1}}}


@dataclass(frozen=True, slots=True)
class Hnsw:
    """Parameters of the graph in which a Milvus server searches (Malkov & Yashunin 2016); Milvus Lite is exact."""

    m: int = 16
    """Links of a vector: more cost memory and find more."""
    ef_construction: int = 200
    """Breadth of the search for them when a vector is added."""
    ef: int = 64
    """Least breadth of a search for an answer; twice the number of videos asked for where that is more."""

    def breadth(self, limit: int) -> int:
        """Of a search for so many videos."""
        return max(2 * limit, self.ef)


def create_collection(client: Client, name: str, dimension: int, *, is_lite: bool, hnsw: Hnsw) -> None:
    """Makes what is missing of a collection and its index: safe to run again after being killed in its middle, and by
    several processes at once. An index that is there keeps the parameters it was made with."""
    if not client.has_collection(name, timeout=PATIENT_S):
        try:
            client.create_collection(name, schema=_schema(client, name, dimension), timeout=PATIENT_S)
        except import_pymilvus().MilvusException:
            if not client.has_collection(name, timeout=PATIENT_S):
                raise
    if not client.list_indexes(name, timeout=PATIENT_S):
        parameters = client.prepare_index_params()
        parameters.add_index("embedding", metric_type="COSINE", **_index(name, is_lite=is_lite, hnsw=hnsw))
        try:
            client.create_index(name, parameters, timeout=PATIENT_S)
        except import_pymilvus().MilvusException:
            if not client.list_indexes(name, timeout=PATIENT_S):
                raise


def _index(name: str, *, is_lite: bool, hnsw: Hnsw) -> dict[str, Any]:
    if not _holds_videos(name):
        return _FLAT  # segments are read by key, never searched: a graph of them would be built for nobody
    if is_lite:
        return _ONE_LIST
    return {"index_type": "HNSW", "params": {"M": hnsw.m, "efConstruction": hnsw.ef_construction}}


def _holds_videos(name: str) -> bool:
    return name.startswith("videos_")


def _schema(client: Client, name: str, dimension: int) -> Any:
    types = import_pymilvus().DataType
    schema = client.create_schema(auto_id=False, enable_dynamic_field=False)
    schema.add_field("id", types.VARCHAR, is_primary=True, max_length=64)
    if _holds_videos(name):
        # Milvus 2.3 has no nulls: no category is the empty one.
        schema.add_field("category", types.VARCHAR, max_length=4096)
        schema.add_field("duration_s", types.DOUBLE)
    else:
        schema.add_field("video_id", types.VARCHAR, max_length=64)
        schema.add_field("number", types.INT64)
        schema.add_field("start_s", types.DOUBLE)
        schema.add_field("end_s", types.DOUBLE)
    schema.add_field("embedding", types.FLOAT_VECTOR, dim=dimension)
    return schema
