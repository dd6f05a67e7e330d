"""Erasure receipts in SQL."""

from __future__ import annotations

from typing import Any

from sqlalchemy import Connection, insert, select, update

from vidrec.adapters.sql.schema import receipts
from vidrec.application.ports import Receipt
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

    def complete(self, receipt_id: str) -> None:
        self._connection.execute(
            update(receipts)
            .where(receipts.c.id == receipt_id, receipts.c.completed_at.is_(None))
            .values(completed_at=utc_now())
        )

    def get(self, receipt_id: str) -> Receipt | None:
        row = self._connection.execute(select(receipts).where(receipts.c.id == receipt_id)).first()
        return None if row is None else _receipt(row)


def _receipt(row: Any) -> Receipt:
    return Receipt(**row._mapping)
