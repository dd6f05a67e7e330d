"""How much may be uploaded with one key."""

from __future__ import annotations

from vidrec.application.ports import Database, UnitOfWork
from vidrec.domain.errors import Overloaded, TooLarge
from vidrec.domain.uploads import Upload


def check_announced(uow: UnitOfWork, upload: Upload, *, max_open: int) -> None:
    """Called in the transaction that announces the upload. Overloaded where too many of its key were announced and have
    not come; TooLarge, naming `size`, where it would not fit into the key's quota."""
    if upload.key_id is not None:
        key = uow.keys.lock(upload.key_id)
        quota = None if key is None else key.quota_bytes
        if quota is not None:
            left = quota - uow.keys.bytes_kept(upload.key_id)
            if left < (upload.size or 1):
                raise TooLarge(f"size: {max(0, left)} of the {quota} bytes of this key's quota are left", field="size")
    if uow.keys.open_uploads(upload.key_id, max_open) >= max_open:
        raise Overloaded(
            f"{max_open} uploads are announced and have not arrived, which is all: send these first", retry_after_s=60
        )


def limit_of(uow: UnitOfWork, upload: Upload, most: int) -> int:
    """How many bytes of the upload may come: `most`, or what is left of its key's quota. A declared size was checked
    when it was announced."""
    if upload.key_id is None or upload.size is not None:
        return most
    key = uow.keys.get(upload.key_id)
    if key is None or key.quota_bytes is None:
        return most
    return max(0, min(most, key.quota_bytes - uow.keys.bytes_kept(upload.key_id)))


def arrival_limit(database: Database, upload: Upload, most: int) -> int:
    """As `limit_of`, once the bytes have come; asks SQL only where it must."""
    if upload.key_id is None or upload.size is not None:
        return most
    with database.snapshot() as uow:
        return limit_of(uow, upload, most)
