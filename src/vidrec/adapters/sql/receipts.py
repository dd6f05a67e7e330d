"""Erasure receipts in SQL."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from sqlalchemy import Connection, func, insert, select, update

from vidrec.adapters.sql.schema import receipts
from vidrec.application.ports import Look, Receipt
from vidrec.domain.models import new_id, utc_now


class SqlReceipts:
    """Implements the Receipts port within one transaction."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection

    def open(self, kind: str, subject: str) -> Receipt:
        known = self._connection.execute(
            select(receipts).where(
                receipts.c.kind == kind, receipts.c.subject == subject, receipts.c.completed_at.is_(None)
            )
        ).first()
        if known is not None:
            return _receipt(known)
        receipt = Receipt(id=new_id(), kind=kind, subject=subject, requested_at=utc_now(), completed_at=None)
        self._connection.execute(
            insert(receipts).values(id=receipt.id, kind=kind, subject=subject, requested_at=receipt.requested_at)
        )
        return receipt

    def probed(self, receipt_id: str, looks: Sequence[Look]) -> None:
        found = [[look.store, look.place, look.found] for look in looks]
        probes = func.coalesce(receipts.c.probes, 0) + 1
        its = update(receipts).where(receipts.c.id == receipt_id)
        self._connection.execute(its.values(looked_at=utc_now(), probes=probes, looks=found))

    def complete(self, receipt_id: str) -> None:
        self._connection.execute(
            update(receipts)
            .where(receipts.c.id == receipt_id, receipts.c.completed_at.is_(None))
            .values(completed_at=utc_now())
        )

    def get(self, receipt_id: str) -> Receipt | None:
        row = self._connection.execute(select(receipts).where(receipts.c.id == receipt_id)).first()
        return None if row is None else _receipt(row)

    def page(self, *, limit: int, after: str | None = None) -> Sequence[Receipt]:
        statement = select(receipts).order_by(receipts.c.id).limit(limit)
        if after is not None:
            statement = statement.where(receipts.c.id > after)
        return [_receipt(row) for row in self._connection.execute(statement)]


def _receipt(row: Any) -> Receipt:
    looks = tuple(Look(*look) for look in row.looks or ())
    return Receipt(**{**row._mapping, "probes": row.probes or 0, "looks": looks})
