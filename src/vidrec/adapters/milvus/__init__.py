"""Milvus: the vector index, on Milvus Lite's own local server or on a Milvus server."""

from vidrec.adapters.milvus.connection import Access
from vidrec.adapters.milvus.index import MilvusIndex
from vidrec.adapters.milvus.lite import milvus_lite_command
from vidrec.adapters.milvus.schema import Hnsw

__all__ = ["Access", "Hnsw", "MilvusIndex", "milvus_lite_command"]
