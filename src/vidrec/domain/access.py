"""Who may call: keys with roles, and the callers that showed one.

A key is 256 random bits, so its SHA-256 is all that is kept of it: slow, salted hashes are for passwords, which can be
guessed."""

from __future__ import annotations

import base64
import hashlib
import re
import secrets
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum

from vidrec.domain.errors import Forbidden

_KEY = re.compile(r"vr_([0-9a-f]{12})_[a-z2-7]{52}")
_SECRET_BYTES = 32


class Role(StrEnum):
    """What a key is for. Values are part of the API."""

    PRODUCER = "producer"
    CONSUMER = "consumer"
    ADMIN = "admin"


@dataclass(frozen=True, slots=True, kw_only=True)
class ApiKey:
    """What is kept of a key; the key itself is shown once, when it is made."""

    id: str
    name: str
    """For people."""
    role: Role
    digest: str = field(repr=False)
    """SHA-256 of the key, in hexadecimal digits."""
    user_id: str | None = None
    """The only user that it acts as; None: any."""
    rate_per_minute: int | None = None
    """Requests; None: as the settings say; 0: any number."""
    quota_bytes: int | None = None
    """So much may be kept of what it uploads; None: any amount."""
    created_at: datetime
    revoked_at: datetime | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Caller:
    """Whoever makes a request."""

    role: Role
    key_id: str | None = None
    """None while nobody needs a key."""
    user_id: str | None = None
    """The only user that it acts as; None: any."""
    rate_per_minute: int = 0
    """0: any number of requests."""
    bucket: str = ""
    """Whose requests are counted together."""

    def act_as(self, user_id: str, *, field: str = "userid") -> None:
        """Forbidden where it is bound to another user."""
        if self.user_id is not None and self.user_id != user_id:
            raise Forbidden(f"{field}: this caller acts as one user alone, and this is another's")

    @property
    def bound(self) -> bool:
        return self.user_id is not None


ANYBODY = Caller(role=Role.ADMIN)
"""The caller of every request while nobody needs a key."""


def new_key() -> tuple[str, str]:
    """Id and text of a new key: `vr_`, the id, `_`, 256 random bits in Base32."""
    key_id = secrets.token_hex(6)
    secret = base64.b32encode(secrets.token_bytes(_SECRET_BYTES)).decode().rstrip("=").lower()
    return key_id, f"vr_{key_id}_{secret}"


def id_of(key: str) -> str | None:
    """The id in a key's text; None where it is not the text of a key."""
    match = _KEY.fullmatch(key)
    return match[1] if match else None


def digest_of(key: str) -> str:
    """SHA-256 of a key's text, in hexadecimal digits."""
    return hashlib.sha256(key.encode()).hexdigest()
