"""Keys, and who shows one: what a request carries is turned into a caller with a role."""

from __future__ import annotations

import hmac
import logging
import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from datetime import datetime

from vidrec.application.catalogue import EXTERNAL
from vidrec.application.links import MediaLinks
from vidrec.application.passes import Pass, Passes
from vidrec.application.ports import Database, Signing
from vidrec.application.rates import RateLimits
from vidrec.domain.access import ApiKey, Caller, Role, digest_of, id_of, new_key
from vidrec.domain.errors import Forbidden, InvalidInput, NotFound, StoreUnavailable, Unauthorized
from vidrec.domain.models import utc_now

log = logging.getLogger(__name__)

MAX_TOKEN_S = 86_400.0
"""Longest life of a viewer token."""
_MAX_NAME = 100
_MOST_KEYS = 10_000
_UNKNOWN = "the key is unknown or was revoked"


class Keys:
    """Making, listing and revoking keys. Thread-safe."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def create(
        self,
        role: Role,
        *,
        name: str = "",
        user_id: str | None = None,
        rate_per_minute: int | None = None,
        quota_bytes: int | None = None,
    ) -> tuple[ApiKey, str]:
        """A new key and its text, which is kept nowhere. InvalidInput where the role has no use for what is given."""
        if user_id is not None and role is not Role.CONSUMER:
            raise InvalidInput(f"user: only consumer keys are bound to a user, this is a {role} key", field="user")
        if quota_bytes is not None and role is Role.CONSUMER:
            raise InvalidInput("quota_bytes: a consumer key uploads nothing", field="quota_bytes")
        if len(name) > _MAX_NAME or not name.isprintable():
            raise InvalidInput(f"name: expected at most {_MAX_NAME} printable characters", field="name")
        key_id, text = new_key()
        key = ApiKey(
            id=key_id,
            name=name,
            role=role,
            digest=digest_of(text),
            user_id=user_id,
            rate_per_minute=rate_per_minute,
            quota_bytes=quota_bytes,
            created_at=utc_now(),
        )
        with self._database.transaction() as uow:
            uow.keys.add(key)
        log.info("key %s (%s) was made", key.id, key.role)
        return key, text

    def list(self) -> Sequence[tuple[ApiKey, int]]:
        """All keys, oldest first, revoked ones too, each with the bytes that are kept of its uploads."""
        with self._database.snapshot() as uow:
            return [(key, uow.keys.bytes_kept(key.id)) for key in uow.keys.all()]

    def any(self) -> bool:
        """Whether there is a key that was not revoked."""
        with self._database.snapshot() as uow:
            return any(key.revoked_at is None for key in uow.keys.all())

    def revoke(self, key_id: str) -> ApiKey:
        """Ends the key, its sessions and its tokens; twice is once. NotFound."""
        with self._database.transaction() as uow:
            if uow.keys.revoke(key_id, utc_now()):
                log.info("key %s was revoked", key_id)
            key = uow.keys.get(key_id)
        if key is None:
            raise NotFound(f"there is no key {key_id[:40]}: `vidrec keys list` shows their ids")
        return key


@dataclass(frozen=True, slots=True, kw_only=True)
class AccessPolicy:
    """How long what is issued lives, and how much a caller may ask."""

    session_s: float = 43_200.0
    link_s: float = 3600.0
    rate_per_minute: int = 6000
    """Of keys that say nothing of their own; 0: any number."""
    believe_s: float = 2.0
    """So long a key is believed that was read from SQL."""


@dataclass(frozen=True, slots=True)
class Claim:
    """What a request says of its caller, as far as it can be told without SQL."""

    key_id: str
    digest: str | None = None
    """Of the key that was shown; None where a pass was."""
    user_id: str | None = None
    """The user that a pass is for."""
    expires_at: datetime | None = None


class Access:
    """Tells callers by what they show. Keys are believed for a moment once they were read, so that requests ask SQL
    nothing, and a revoked key, its sessions and its tokens end within that moment. While SQL does not answer, keys that
    were read before are believed on. Thread-safe."""

    def __init__(
        self,
        database: Database,
        signer: Callable[[str], Signing],
        policy: AccessPolicy,
        *,
        clock: Callable[[], float] = time.time,
    ) -> None:
        """`signer` gives signatures for a purpose."""
        self._database = database
        self._policy = policy
        self._clock = clock
        self._lock = threading.Lock()
        self._keys: dict[str, tuple[ApiKey | None, float]] = {}
        self._tokens = Passes("vt_", signer("viewer token"), clock=clock)
        self._sessions = Passes("vs_", signer("session"), clock=clock)
        self.links = MediaLinks(signer("media link"), lifetime_s=policy.link_s, clock=clock)
        self.rates = RateLimits()

    # ------------------------------------------------------------------------------------- what is shown

    def bearer(self, text: str) -> Claim:
        """What a key or a viewer token says. Unauthorized where it is neither."""
        shown = self._tokens.read(text)
        if shown is not None:
            return _claim(shown)
        key_id = id_of(text)
        if key_id is None:
            raise Unauthorized(_UNKNOWN, shown=True)
        return Claim(key_id, digest=digest_of(text))

    def session(self, text: str) -> Claim:
        """What a session says. Unauthorized."""
        shown = self._sessions.read(text)
        if shown is None:
            raise Unauthorized("the session is not one that was begun here", shown=True)
        return _claim(shown)

    def believed(self, claim: Claim) -> Caller | None:
        """The caller, where its key was read a moment ago: asks nothing. Unauthorized."""
        key, at = self._keys.get(claim.key_id, (None, -1e18))
        return None if self._clock() - at > self._policy.believe_s else self._caller(claim, key)

    def caller(self, claim: Claim) -> Caller:
        """The caller. Unauthorized; StoreUnavailable where SQL does not answer and never told of the key."""
        try:
            with self._database.snapshot() as uow:
                key = uow.keys.get(claim.key_id)
        except StoreUnavailable:
            known = self._keys.get(claim.key_id)
            if known is None:
                raise
            key = known[0]
        with self._lock:
            if len(self._keys) >= _MOST_KEYS:
                self._keys.clear()
            self._keys[claim.key_id] = (key, self._clock())
        return self._caller(claim, key)

    def _caller(self, claim: Claim, key: ApiKey | None) -> Caller:
        if key is None or key.revoked_at is not None:
            raise Unauthorized(_UNKNOWN, shown=True)
        if claim.digest is not None and not hmac.compare_digest(claim.digest, key.digest):
            raise Unauthorized(_UNKNOWN, shown=True)
        default = self._policy.rate_per_minute
        own = default if key.rate_per_minute is None else key.rate_per_minute
        whole = Caller(role=key.role, key_id=key.id, user_id=key.user_id, rate_per_minute=own, bucket=key.id)
        if claim.user_id is None:
            return whole
        # Its viewers do not use up what a backend may ask itself.
        bucket = f"{key.id} {claim.user_id}"
        return replace(whole, role=Role.CONSUMER, user_id=claim.user_id, rate_per_minute=default, bucket=bucket)

    def check_video(self, caller: Caller, name: str) -> None:
        """Forbidden where the video of this name was not uploaded with the caller's key."""
        external = name.removeprefix(EXTERNAL) if name.startswith(EXTERNAL) else None
        with self._database.snapshot() as uow:
            video_id = name.lower() if external is None else uow.catalogue.resolve([external]).get(external, "")
            uploader = uow.keys.uploader(video_id)
        if uploader != caller.key_id:
            raise Forbidden("a producer changes what was uploaded with the same key alone")

    def check_upload(self, caller: Caller, upload_id: str) -> None:
        """NotFound where the upload was not begun with the caller's key: it is none of its business."""
        with self._database.snapshot() as uow:
            upload = uow.uploads.get(upload_id.lower())
        if upload is None or upload.key_id != caller.key_id:
            raise NotFound(f"there is no upload {upload_id[:80]}")

    # ------------------------------------------------------------------------------------ what is issued

    def issue_token(self, caller: Caller, user_id: str, lifetime_s: float) -> tuple[str, datetime]:
        """A token that acts as this user, and when it expires. Forbidden to callers that are bound to one."""
        if caller.key_id is None or caller.bound:
            raise Forbidden("viewer tokens are made with a key that is not bound to a user")
        return self._tokens.issue(caller.key_id, user_id, lifetime_s=min(lifetime_s, MAX_TOKEN_S))

    def begin_session(self, claim: Claim) -> tuple[str, float]:
        """A session of whoever showed the claim, and how many seconds it lasts."""
        lifetime = self._policy.session_s
        if claim.expires_at is not None:
            lifetime = min(lifetime, claim.expires_at.timestamp() - self._clock())
        text, _ = self._sessions.issue(claim.key_id, claim.user_id, lifetime_s=lifetime)
        return text, lifetime


def _claim(shown: Pass) -> Claim:
    return Claim(shown.key_id, user_id=shown.user_id, expires_at=shown.expires_at)
