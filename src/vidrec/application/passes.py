"""Passes: signed texts that stand for a key, or for one user by the word of a key, until they expire. Nothing is kept
of them; they end with the key."""

from __future__ import annotations

import base64
import binascii
import json
import time
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime

from vidrec.application.ports import Signing
from vidrec.domain.errors import Unauthorized

_MAX_LENGTH = 4096


@dataclass(frozen=True, slots=True, kw_only=True)
class Pass:
    """What a pass says."""

    key_id: str
    user_id: str | None
    """The user that it is for; None: whatever the key may."""
    expires_at: datetime


class Passes:
    """Passes of one kind, told apart by how they begin and by the signer's purpose. Thread-safe."""

    def __init__(self, prefix: str, signer: Signing, *, clock: Callable[[], float] = time.time) -> None:
        self._prefix = prefix
        self._signer = signer
        self._clock = clock

    def issue(self, key_id: str, user_id: str | None, *, lifetime_s: float) -> tuple[str, datetime]:
        """A new pass and when it expires, in whole seconds."""
        expires = int(self._clock() + lifetime_s)
        claims = {"key": key_id, "user": user_id, "expires": expires}
        body = base64.urlsafe_b64encode(json.dumps(claims, ensure_ascii=False).encode()).decode().rstrip("=")
        return f"{self._prefix}{body}.{self._signer.sign(self._prefix, body, {})}", datetime.fromtimestamp(expires, UTC)

    def read(self, text: str) -> Pass | None:
        """What the pass says; None where it is of another kind. Unauthorized where it was altered or has expired."""
        if not text.startswith(self._prefix) or len(text) > _MAX_LENGTH:
            return None
        body, _, signature = text.removeprefix(self._prefix).partition(".")
        if not self._signer.verify(self._prefix, body, {"signature": signature}):
            raise Unauthorized("the token is not one that was issued here", shown=True)
        try:
            claims = json.loads(base64.urlsafe_b64decode(body + "=" * (-len(body) % 4)))
        except (binascii.Error, ValueError) as error:  # signed, so never
            raise Unauthorized("the token cannot be read", shown=True) from error
        if claims["expires"] <= self._clock():
            raise Unauthorized("the token has expired", shown=True)
        return Pass(
            key_id=claims["key"],
            user_id=claims["user"],
            expires_at=datetime.fromtimestamp(claims["expires"], UTC),
        )
