"""Keys, passes, links and rates: the parts of which access is made."""

from __future__ import annotations

from pathlib import Path

import pytest

from vidrec.adapters.signing import Signer
from vidrec.adapters.sql import SqlDatabase
from vidrec.application.access import Access, AccessPolicy, Keys
from vidrec.application.links import MediaLinks
from vidrec.application.passes import Passes
from vidrec.application.rates import RateLimits
from vidrec.domain.access import ANYBODY, Caller, Role, digest_of, id_of, new_key
from vidrec.domain.errors import Forbidden, InvalidInput, NotFound, Overloaded, Unauthorized

SECRET = "s" * 32
NOW = 1_800_000_000.0


class Clock:
    def __init__(self) -> None:
        self.now = NOW

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def access(database: SqlDatabase, clock: Clock) -> Access:
    return Access(database, lambda purpose: Signer(SECRET, purpose), AccessPolicy(rate_per_minute=7), clock=clock)


# -------------------------------------------------------------------------------------------------- keys


def test_keys_are_long_random_and_name_their_id() -> None:
    made = [new_key() for _ in range(100)]
    assert len({text for _, text in made}) == 100
    for key_id, text in made:
        assert id_of(text) == key_id
        assert len(text) == len("vr_") + 12 + 1 + 52  # 52 x 5 bits hold 256
        assert len(digest_of(text)) == 64
    text = made[0][1]
    for other in (text[:-1], text + "a", text.upper(), text.replace("vr_", "vt_"), "", f" {text}", text + "\n"):
        assert id_of(other) is None


def test_a_key_is_shown_once(database: SqlDatabase) -> None:
    keys = Keys(database)
    assert not keys.any()
    key, text = keys.create(Role.CONSUMER, name="shop", user_id="mina", rate_per_minute=5)
    assert (key.role, key.name, key.user_id, key.rate_per_minute, key.quota_bytes) == (
        "consumer",
        "shop",
        "mina",
        5,
        None,
    )
    assert keys.list() == [(key, 0)]
    assert text not in repr(key)
    assert key.digest not in repr(key)
    assert keys.any()
    assert keys.revoke(key.id).revoked_at is not None
    assert not keys.any()
    with pytest.raises(NotFound):
        keys.revoke("nobody")


@pytest.mark.parametrize(
    ("role", "given", "field"),
    [
        (Role.PRODUCER, {"user_id": "mina"}, "user"),
        (Role.ADMIN, {"user_id": "mina"}, "user"),
        (Role.CONSUMER, {"quota_bytes": 5}, "quota_bytes"),
        (Role.ADMIN, {"name": "a" * 101}, "name"),
        (Role.ADMIN, {"name": "a\nb"}, "name"),
    ],
)
def test_what_a_role_has_no_use_for_is_refused(
    database: SqlDatabase, role: Role, given: dict[str, object], field: str
) -> None:
    with pytest.raises(InvalidInput, match=field) as refusal:
        Keys(database).create(role, **given)  # type: ignore[arg-type]
    assert refusal.value.field == field


# ----------------------------------------------------------------------------------------------- callers


def test_a_caller_is_what_its_key_says(database: SqlDatabase, access: Access, clock: Clock) -> None:
    key, text = Keys(database).create(Role.PRODUCER, rate_per_minute=3)
    claim = access.bearer(text)
    assert access.believed(claim) is None  # never read
    caller = access.caller(claim)
    assert caller == Caller(role=Role.PRODUCER, key_id=key.id, rate_per_minute=3, bucket=key.id)
    assert access.believed(claim) == caller
    other = text[:-1] + ("a" if text[-1] != "a" else "b")
    with pytest.raises(Unauthorized, match="unknown or was revoked"):
        access.believed(access.bearer(other))
    Keys(database).revoke(key.id)
    assert access.believed(claim) == caller
    clock.now += 2.1  # believed for two seconds
    assert access.believed(claim) is None
    with pytest.raises(Unauthorized):
        access.caller(claim)
    with pytest.raises(Unauthorized):
        access.believed(claim)


def test_a_token_is_a_consumer_bound_to_its_user(database: SqlDatabase, access: Access, clock: Clock) -> None:
    key, text = Keys(database).create(Role.ADMIN)
    admin = access.caller(access.bearer(text))
    token, expires = access.issue_token(admin, "mina", 60)
    assert expires.timestamp() == NOW + 60
    viewer = access.caller(access.bearer(token))
    assert (viewer.role, viewer.user_id, viewer.key_id, viewer.rate_per_minute) == (Role.CONSUMER, "mina", key.id, 7)
    assert viewer.bucket != admin.bucket
    viewer.act_as("mina")
    with pytest.raises(Forbidden, match="userid"):
        viewer.act_as("jun")
    for bound in (viewer, ANYBODY):
        with pytest.raises(Forbidden):
            access.issue_token(bound, "jun", 60)
    _, expires = access.issue_token(admin, "mina", 1e9)
    assert expires.timestamp() == NOW + 86_400
    session, lifetime = access.begin_session(access.bearer(token))
    assert lifetime == 60
    assert access.caller(access.session(session)) == viewer
    clock.now += 60
    for read in (lambda: access.bearer(token), lambda: access.session(session)):
        with pytest.raises(Unauthorized, match="expired"):
            read()


def test_a_pass_of_one_kind_is_none_of_another(database: SqlDatabase, access: Access) -> None:
    _, text = Keys(database).create(Role.ADMIN)
    session, lifetime = access.begin_session(access.bearer(text))
    assert lifetime == 12 * 3600
    token, _ = access.issue_token(access.caller(access.bearer(text)), "mina", 60)
    with pytest.raises(Unauthorized):
        access.bearer(session)
    with pytest.raises(Unauthorized):
        access.bearer("vt_" + session.removeprefix("vs_"))
    with pytest.raises(Unauthorized):
        access.session(token)
    with pytest.raises(Unauthorized):
        access.session(text)


def test_a_pass_is_this_installations_alone(clock: Clock) -> None:
    here, there = (Passes("vt_", Signer(secret, "x"), clock=clock) for secret in (SECRET, "t" * 32))
    text, _ = here.issue("k1", None, lifetime_s=60)
    found = here.read(text)
    assert found is not None
    assert (found.key_id, found.user_id) == ("k1", None)
    for other in (text[:-1], text[:5] + "A" + text[6:], text.partition(".")[0], "vt_", "vt_.", "vt_é.é"):
        with pytest.raises(Unauthorized):
            here.read(other)
    with pytest.raises(Unauthorized):
        there.read(text)


# ------------------------------------------------------------------------------------- signatures, links


def test_one_secret_signs_each_purpose_for_itself(tmp_path: Path) -> None:
    file = tmp_path / "secret"
    signatures = {
        Signer(secret, purpose).sign("GET", "/x", {"a": "1"})
        for secret in (SECRET, "t" * 32, file)
        for purpose in ("upload", "session", "media link")
    }
    assert len(signatures) == 9
    assert Signer(file, "session").sign("GET", "/x", {"a": "1"}) in signatures
    assert Signer(SECRET).sign("GET", "/x", {"a": "1"}) in signatures


def parts(query: str) -> tuple[str, str]:
    expires, signature = (pair.partition("=")[2] for pair in query.split("&"))
    return expires, signature


def test_a_link_lives_three_quarters_of_its_time_or_longer(clock: Clock) -> None:
    links = MediaLinks(Signer(SECRET, "media link"), lifetime_s=3600, clock=clock)
    for late in (0.0, 1.0, 899.0, 901.0, 1799.9):
        clock.now = NOW + late
        expires, signature = parts(links.query("/videos/1/stream"))
        assert 2700 <= int(expires) - clock.now <= 3600
        clock.now = int(expires) - 0.1
        links.check("/videos/1/stream", expires, signature)
        clock.now = int(expires)
        with pytest.raises(Forbidden, match="expired"):
            links.check("/videos/1/stream", expires, signature)


def test_a_link_stays_the_same_for_a_while(clock: Clock) -> None:
    links = MediaLinks(Signer(SECRET, "media link"), lifetime_s=3600, clock=clock)
    clock.now = NOW // 900 * 900
    first = links.query("/a")
    clock.now += 899
    assert links.query("/a") == first
    clock.now += 1
    assert links.query("/a") != first


def test_an_altered_link_is_forbidden(clock: Clock) -> None:
    links = MediaLinks(Signer(SECRET, "media link"), lifetime_s=3600, clock=clock)
    expires, signature = parts(links.query("/a"))
    for time, by in (("9" * 12, signature), (expires, "0"), ("", ""), ("é", "é")):
        with pytest.raises(Forbidden, match="altered"):
            links.check("/a", time, by)
    with pytest.raises(Forbidden, match="altered"):
        links.check("/b", expires, signature)


# ------------------------------------------------------------------------------------------------- rates


def test_a_bucket_holds_a_minute_and_fills_evenly() -> None:
    clock = Clock()
    rates = RateLimits(clock=clock)
    for _ in range(60):
        rates.take("k", 60)
    with pytest.raises(Overloaded, match="60 requests a minute") as refusal:
        rates.take("k", 60)
    assert refusal.value.retry_after_s == pytest.approx(1)
    rates.take("other", 60)
    clock.now += 0.5
    with pytest.raises(Overloaded) as refusal:
        rates.take("k", 60)
    assert refusal.value.retry_after_s == pytest.approx(0.5)
    clock.now += 0.5  # who asks too early does not wait longer for it
    rates.take("k", 60)
    clock.now += 3600
    for _ in range(60):
        rates.take("k", 60)
    with pytest.raises(Overloaded):
        rates.take("k", 60)


def test_zero_is_no_limit_and_buckets_are_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    rates = RateLimits(clock=Clock())
    for _ in range(1000):
        rates.take("k", 0)
    monkeypatch.setattr("vidrec.application.rates._MOST", 10)
    for number in range(100):
        rates.take(f"k{number}", 1)
    with pytest.raises(Overloaded):
        rates.take("k99", 1)
    rates.take("k0", 1)
