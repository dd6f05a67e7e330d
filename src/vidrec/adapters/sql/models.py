"""Model versions in SQL, and the one row that names the active one."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from sqlalchemy import Connection, select

from vidrec.adapters.sql.engine import is_writing
from vidrec.adapters.sql.schema import active_model, model_versions, upsert
from vidrec.domain.errors import NotFound
from vidrec.domain.models import ModelVersion, utc_now

_ONLY = 1
"""Id of the one row."""


class SqlModelVersions:
    """Implements the ModelVersions port within one transaction."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection

    def register(self, model: ModelVersion) -> None:
        self._connection.execute(
            upsert(self._connection, model_versions)
            .values(
                version=model.version,
                name=model.name,
                dimension=model.dimension,
                trained=model.trained,
                manifest=dict(model.manifest),
                created_at=utc_now(),
            )
            .on_conflict_do_nothing(index_elements=["version"])
        )

    def active(self) -> ModelVersion | None:
        if is_writing(self._connection):
            # What is written for this model must not be written beside the activation of another. Alone: joined to the
            # models, the row would be lost to us where another one was activated while we waited for it.
            self._connection.execute(select(active_model.c.version).with_for_update(read=True))
        row = self._connection.execute(
            select(model_versions).join(active_model, active_model.c.version == model_versions.c.version)
        ).first()
        return None if row is None else _model(row)

    def activate(self, version: str) -> None:
        known = select(model_versions.c.version).where(model_versions.c.version == version)
        if self._connection.execute(known).first() is None:
            raise NotFound(f"model version {version} is not registered")
        new = {"version": version, "activated_at": utc_now()}
        self._connection.execute(
            upsert(self._connection, active_model)
            .values(id=_ONLY, **new)
            .on_conflict_do_update(index_elements=["id"], set_=new)
        )

    def all(self) -> Sequence[ModelVersion]:
        return [_model(row) for row in self._connection.execute(select(model_versions).order_by("created_at"))]


def _model(row: Any) -> ModelVersion:
    return ModelVersion(
        version=row.version, name=row.name, dimension=row.dimension, trained=row.trained, manifest=row.manifest
    )
