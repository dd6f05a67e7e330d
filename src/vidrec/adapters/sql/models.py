"""Model versions in SQL, and the one row that names the active one."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from sqlalchemy import Connection, delete, insert, select

from vidrec.adapters.sql.schema import active_model, model_versions
from vidrec.domain.errors import NotFound
from vidrec.domain.models import ModelVersion, utc_now


class SqlModelVersions:
    """Implements the ModelVersions port within one transaction."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection

    def register(self, model: ModelVersion) -> None:
        known = select(model_versions.c.version).where(model_versions.c.version == model.version)
        if self._connection.execute(known).first() is None:
            self._connection.execute(
                insert(model_versions).values(
                    version=model.version,
                    name=model.name,
                    dimension=model.dimension,
                    trained=model.trained,
                    manifest=dict(model.manifest),
                    created_at=utc_now(),
                )
            )

    def active(self) -> ModelVersion | None:
        row = self._connection.execute(
            select(model_versions).join(active_model, active_model.c.version == model_versions.c.version)
        ).first()
        return None if row is None else _model(row)

    def activate(self, version: str) -> None:
        known = select(model_versions.c.version).where(model_versions.c.version == version)
        if self._connection.execute(known).first() is None:
            raise NotFound(f"model version {version} is not registered")
        self._connection.execute(delete(active_model))
        self._connection.execute(insert(active_model).values(id=1, version=version, activated_at=utc_now()))

    def all(self) -> Sequence[ModelVersion]:
        return [_model(row) for row in self._connection.execute(select(model_versions).order_by("created_at"))]


def _model(row: Any) -> ModelVersion:
    return ModelVersion(
        version=row.version, name=row.name, dimension=row.dimension, trained=row.trained, manifest=row.manifest
    )
