"""What is asked of the outside about callers: their keys in SQL, and signatures with this installation's secret."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Protocol

from vidrec.domain.access import ApiKey


class KeyRecords(Protocol):
    """Keys in SQL, and what was uploaded with each."""

    def add(self, key: ApiKey) -> None: ...

    def get(self, key_id: str) -> ApiKey | None:
        """The key, a revoked one too."""
        ...

    def lock(self, key_id: str) -> ApiKey | None:
        """As `get`; other transactions that lock it wait for the end of this one."""
        ...

    def all(self) -> Sequence[ApiKey]:
        """Oldest first, revoked ones too."""
        ...

    def revoke(self, key_id: str, at: datetime) -> bool:
        """False (and nothing written) where it was revoked before or is unknown."""
        ...

    def uploader(self, video_id: str) -> str | None:
        """Id of the key that the video was uploaded with; None where it was not uploaded, or without a key."""
        ...

    def open_uploads(self, key_id: str | None, limit: int) -> int:
        """How many uploads of the key were announced and have not arrived; counts to `limit` at most. None: those
        without a key."""
        ...

    def bytes_kept(self, key_id: str) -> int:
        """Bytes of the videos that were uploaded with the key and are not deleted; of announced ones what was
        declared."""
        ...


class Signing(Protocol):
    """Signatures that only this installation can make, for one purpose."""

    def sign(self, method: str, path: str, parameters: Mapping[str, str]) -> str:
        """The signature, in hexadecimal digits; the parameter `signature` itself is left out of it."""
        ...

    def verify(self, method: str, path: str, parameters: Mapping[str, str]) -> bool:
        """Whether the parameter `signature` is that of the others; takes the same time wherever it differs."""
        ...
