"""Model versions in SQL, and the one row that names the active one."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from sqlalchemy import Connection, case, delete, or_, select, update

from vidrec.adapters.sql.engine import is_writing
from vidrec.adapters.sql.schema import active_model, model_versions, profile_members, profiles, upsert
from vidrec.application.ports import ModelRoles
from vidrec.domain.errors import Conflict, NotFound
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

    def roles(self) -> ModelRoles:
        named = (active_model.c.version, active_model.c.prepared, active_model.c.previous)
        rows = self._connection.execute(
            select(model_versions, *(column.label(f"as_{column.name}") for column in named)).join(
                active_model, or_(*(column == model_versions.c.version for column in named))
            )
        ).all()
        found = {row.version: _model(row) for row in rows}
        if not rows:
            return ModelRoles()
        row = rows[0]
        return ModelRoles(found.get(row.as_version), found.get(row.as_prepared), found.get(row.as_previous))

    def activate(self, version: str) -> None:
        self._check_registered(version)
        previous = case((active_model.c.version == version, active_model.c.previous), else_=active_model.c.version)
        values = {"version": version, "activated_at": utc_now(), "prepared": None}
        self._connection.execute(
            upsert(self._connection, active_model)
            .values(id=_ONLY, **values)
            .on_conflict_do_update(index_elements=["id"], set_={**values, "previous": previous})
        )

    def prepare(self, version: str | None) -> None:
        if version is not None:
            self._check_registered(version)
        if self._connection.execute(update(active_model).values(prepared=version)).rowcount == 0:
            raise Conflict("no model is active yet: there is nothing to prepare another one beside")

    def remove(self, version: str) -> None:
        if self._connection.execute(select(active_model.c.id).where(active_model.c.version == version)).first():
            raise Conflict(f"model version {version} is the active one")
        for column in (active_model.c.previous, active_model.c.prepared):
            self._connection.execute(update(active_model).where(column == version).values({column.name: None}))
        self._connection.execute(delete(model_versions).where(model_versions.c.version == version))
        for table in (profiles, profile_members):
            self._connection.execute(delete(table).where(table.c.model_version == version))

    def all(self) -> Sequence[ModelVersion]:
        return [_model(row) for row in self._connection.execute(select(model_versions).order_by("created_at"))]

    def _check_registered(self, version: str) -> None:
        known = select(model_versions.c.version).where(model_versions.c.version == version)
        if self._connection.execute(known).first() is None:
            raise NotFound(f"model version {version} is not registered")


def _model(row: Any) -> ModelVersion:
    return ModelVersion(
        version=row.version, name=row.name, dimension=row.dimension, trained=row.trained, manifest=row.manifest
    )
