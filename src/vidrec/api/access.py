"""Who may ask what. Every route states it, beside its address, with one of the words below:

    @router.get("/recommend")
    @VIEWERS
    def recommend(...): ...

`StrictRoute` holds every request to it before anything else is looked at; a route that states nothing is for admins."""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Any, TypeVar
from urllib.parse import unquote, urlsplit

from anyio.to_thread import run_sync
from fastapi import Request

from vidrec.application.access import Access, Claim
from vidrec.application.links import MediaLinks
from vidrec.domain.access import ANYBODY, Caller, Role
from vidrec.domain.errors import Forbidden, Unauthorized

log = logging.getLogger(__name__)

COOKIE = "vidrec_session"
SIGNED = frozenset({"expires", "signature"})
"""Parameters of a link that works by itself."""
_SAFE = frozenset({"GET", "HEAD", "OPTIONS"})
_CALLER = "vidrec.caller"
_STATED = "__who__"
Endpoint = TypeVar("Endpoint", bound=Callable[..., Any])


class Own(StrEnum):
    """A parameter of the path that names what a producer may have uploaded."""

    UPLOAD = "upload_id"
    VIDEO = "video_id"


@dataclass(frozen=True, slots=True, kw_only=True)
class Who:
    """Who may ask; as a decorator it states so of a route."""

    roles: frozenset[Role]
    everybody: bool = False
    """No key is needed."""
    link: str | None = None
    """A signed link to this, below the video, is enough."""
    bound: bool | None = None
    """Consumers that are bound to one user alone (True), or those that are not (False)."""
    own: Own | None = None
    """Producers only what they uploaded themselves."""

    def __call__(self, endpoint: Endpoint) -> Endpoint:
        setattr(endpoint, _STATED, self)
        return endpoint

    @property
    def words(self) -> str:
        """For people."""
        if self.everybody:
            return "everybody"
        roles = ", ".join(role.value for role in Role if role in self.roles)
        return f"{roles}; a signed link" if self.link else roles


EVERYBODY = Who(roles=frozenset(Role), everybody=True)
"""Nothing of a video, a user or an upload is told: probes, metrics, pages; and what carries its own signature."""
PRODUCERS = Who(roles=frozenset({Role.PRODUCER, Role.ADMIN}))
ITS_PRODUCER = Who(roles=PRODUCERS.roles, own=Own.VIDEO)
UPLOADER = Who(roles=PRODUCERS.roles, own=Own.UPLOAD)
VIEWERS = Who(roles=frozenset({Role.CONSUMER, Role.ADMIN}))
BACKENDS = Who(roles=frozenset({Role.CONSUMER, Role.ADMIN}), bound=False)
"""Callers that are trusted to speak for any user."""
ITSELF = Who(roles=VIEWERS.roles, bound=True)
"""One user, in its own name; and admins."""
ALL_ROLES = Who(roles=frozenset(Role))
ADMINS = Who(roles=frozenset({Role.ADMIN}))


def or_link(who: Who, link: str) -> Who:
    """These, and whoever has a signed link to it."""
    return Who(roles=who.roles, link=link)


def stated(endpoint: Callable[..., Any]) -> Who | None:
    """What a route states; None where it states nothing."""
    found: Who | None = getattr(endpoint, _STATED, None)
    return found


def caller_of(request: Request) -> Caller:
    """Whoever makes the request."""
    caller: Caller = request.scope.get(_CALLER, ANYBODY)
    return caller


class Gate:
    """Lets requests in or not, while keys are needed."""

    def __init__(self, access: Access, public_url: str) -> None:
        self.access = access
        self._origin = _netloc(public_url)

    async def admit(self, request: Request, who: Who) -> None:
        """Returns where the caller may ask this. Unauthorized, Forbidden; Overloaded where it asks too often."""
        if who.everybody:
            return
        try:
            caller = await self._caller(request, who)
            if caller is not None:
                self._check(caller, who)
                if who.own is not None and caller.role is Role.PRODUCER:
                    await self._check_own(request, caller, who.own)
        except (Unauthorized, Forbidden) as error:
            route = getattr(request.scope.get("route"), "path", "")
            log.info("refused %s %s: %s", request.method, route, error)
            raise
        if caller is not None:
            self.access.rates.take(caller.bucket, caller.rate_per_minute)
            request.scope[_CALLER] = caller

    async def _caller(self, request: Request, who: Who) -> Caller | None:
        """Who it is; None where a signed link is shown instead."""
        refusal = None
        if who.link is not None and "signature" in request.query_params:
            try:
                _check_link(self.access.links, request, who.link)
            except Forbidden as error:
                refusal = error  # a page that was open for long has its session still
            else:
                return None
        claim = self.claim(request)
        if claim is None:
            raise refusal or Unauthorized("this needs a key: send it as `Authorization: Bearer KEY`")
        return await self.identify(claim)

    def claim(self, request: Request) -> Claim | None:
        """What the request shows of its caller: a key, a token or a session; None for nothing. Unauthorized; Forbidden
        where a session is used from elsewhere."""
        text = shown_key(request.headers)
        if text is not None:
            return self.access.bearer(text)
        session = request.cookies.get(COOKIE)
        if session is None:
            return None
        if request.method not in _SAFE:
            self.check_origin(request)
        return self.access.session(session)

    async def identify(self, claim: Claim) -> Caller:
        """Who made the claim. Unauthorized."""
        believed = self.access.believed(claim)
        return await run_sync(self.access.caller, claim) if believed is None else believed

    def check_origin(self, request: Request) -> None:
        """Forbidden where a browser says that a page of elsewhere asks, or does not say that one of ours does: it sends
        the session along, whoever asks."""
        site = request.headers.get("sec-fetch-site", "same-origin")
        origin = _netloc(request.headers.get("origin", ""))
        own = {request.headers.get("host", "").lower(), self._origin} - {""}
        if site != "same-origin" or origin not in own:
            raise Forbidden("a session counts for the pages of this address alone: the Origin header names another")

    async def _check_own(self, request: Request, caller: Caller, own: Own) -> None:
        name = unquote(request.path_params[own.value])  # see DecodedOnce
        check = self.access.check_video if own is Own.VIDEO else self.access.check_upload
        await run_sync(check, caller, name)

    @staticmethod
    def _check(caller: Caller, who: Who) -> None:
        if caller.role not in who.roles:
            raise Forbidden(f"this is for keys of the role {who.words}; this caller is {_an(caller.role)}")
        if caller.role is Role.CONSUMER and who.bound not in (None, caller.bound):
            whose = "the user itself, by a token or key that is bound to it," if who.bound else "keys bound to no user"
            raise Forbidden(f"this is for {whose} and for admins")


def shown_key(headers: Mapping[str, str]) -> str | None:
    """The key or token of a request's headers."""
    scheme, _, text = headers.get("authorization", "").partition(" ")
    if scheme.lower() == "bearer":  # another scheme may be a proxy's
        return text.strip()
    return headers.get("x-api-key")


def _check_link(links: MediaLinks, request: Request, link: str) -> None:
    parameters = request.query_params
    path = f"/videos/{request.path_params['video_id']}/{link}"
    links.check(path, parameters.get("expires", ""), parameters["signature"])


def _netloc(url: str) -> str:
    try:
        return urlsplit(url).netloc.lower()
    except ValueError:
        return ""


def _an(role: Role) -> str:
    return f"an {role}" if role is Role.ADMIN else f"a {role}"
