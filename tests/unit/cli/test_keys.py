"""`vidrec keys`, and the refusal to listen to everybody."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from vidrec.cli import main
from vidrec.cli.exposure import is_loopback, refuse_exposure
from vidrec.cli.keys import size_of
from vidrec.domain.access import id_of
from vidrec.domain.errors import InvalidInput
from vidrec.settings import Settings, load_settings


def run(*arguments: str) -> int:
    with pytest.raises(SystemExit) as ended:
        main(arguments)
    return int(ended.value.code or 0)


def test_create_list_revoke(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    data = ("--data", str(tmp_path))
    assert run("keys", "create", "--role", "producer", "--name", "studio", "--quota-bytes", "10GB", *data) == 0
    said = capsys.readouterr()
    text = said.out.strip()  # alone on stdout: KEY=$(vidrec keys create ...)
    key_id = id_of(text)
    assert key_id is not None
    assert key_id in said.err
    assert text not in said.err
    assert run("keys", "create", "--role", "consumer", "--user", "mina", "--rate-per-minute", "9", "--json", *data) == 0
    made = json.loads(capsys.readouterr().out)
    assert id_of(made["key"]) == made["id"]
    assert (made["user_id"], made["rate_per_minute"]) == ("mina", 9)
    assert run("keys", "revoke", key_id, *data) == 0
    capsys.readouterr()
    assert run("keys", "list", "--json", *data) == 0
    [first, second] = json.loads(capsys.readouterr().out)
    assert (first["id"], first["quota_bytes"], first["bytes_kept"]) == (key_id, 10**10, 0)
    assert first["revoked_at"] is not None
    assert second["revoked_at"] is None
    assert run("keys", "list", *data) == 0
    listed = capsys.readouterr().out
    assert "studio" in listed
    assert text not in listed


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("create", "--role", "king"), "king"),
        (("create",), "--role"),
        (("create", "--role", "producer", "--user", "mina"), "only consumer keys"),
        (("create", "--role", "producer", "--quota-bytes", "much"), "expected a size such as 10GB"),
        (("revoke", "nobody"), "there is no key nobody"),
    ],
)
def test_mistakes_are_told(
    arguments: tuple[str, ...], words: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run("keys", *arguments, "--data", str(tmp_path)) == 2
    assert words in capsys.readouterr().err


@pytest.mark.parametrize(
    ("text", "size"),
    [
        ("0", 0),
        ("5", 5),
        ("5B", 5),
        ("10GB", 10**10),
        ("10 gb", 10**10),
        ("1.5k", 1500),
        ("500MiB", 500 << 20),
        ("2TiB", 2 << 40),
    ],
)
def test_sizes(text: str, size: int) -> None:
    assert size_of(text) == size


@pytest.mark.parametrize("text", ["", "-1", "GB", "1PB", "1 2", "1iB", "1e9", "nan"])
def test_what_is_no_size(text: str) -> None:
    with pytest.raises(InvalidInput, match="10GB"):
        size_of(text)


@pytest.mark.parametrize(
    ("host", "here"),
    [
        *(("127.0.0.1", True), ("127.8.8.8", True), ("::1", True), ("localhost", True)),
        *(("0.0.0.0", False), ("::", False), ("", False), ("192.168.1.5", False), ("no such name", False)),
    ],
)
def test_an_open_api_listens_to_this_machine_alone(host: str, here: bool) -> None:
    assert is_loopback(host) == here
    refuse_exposure(Settings(host=host, auth="keys"))
    refuse_exposure(Settings(host=host, allow_open=True))
    if here:
        refuse_exposure(Settings(host=host))
    else:
        with pytest.raises(InvalidInput, match=r"VIDREC_AUTH=keys .*keys create`.*VIDREC_ALLOW_OPEN=true"):
            refuse_exposure(Settings(host=host))


@pytest.mark.parametrize("command", [("api",), ("run",)])
def test_the_commands_refuse(
    command: tuple[str, ...], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("VIDREC_HOST", "0.0.0.0")
    assert run(*command, "--data", str(tmp_path / "data"), "--port", "0") == 2
    assert "VIDREC_AUTH=keys" in capsys.readouterr().err
    assert not (tmp_path / "data").exists()


def test_a_secret_is_long_and_never_shown(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setenv("VIDREC_SECRET", "hidden-but-short")
    with pytest.raises(InvalidInput, match="at least 32 characters") as refusal:
        load_settings()
    assert "hidden" not in str(refusal.value)
    monkeypatch.setenv("VIDREC_SECRET", "hidden" * 8)
    settings = load_settings()
    assert settings.signing_secret == "hidden" * 8
    assert "hidden" not in repr(settings)
    assert run("settings", "--json") == 0
    assert "hidden" not in capsys.readouterr().out
    monkeypatch.setenv("VIDREC_SECRET", "")
    assert load_settings().signing_secret == load_settings().data_dir / "upload.secret"


@pytest.mark.parametrize("origins", ['["shop.example"]', '["https://shop.example/"]', '["https://"]', '["ftp://x"]'])
def test_origins_are_origins(origins: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("VIDREC_CORS_ORIGINS", origins)
    with pytest.raises(InvalidInput, match="VIDREC_CORS_ORIGINS"):
        load_settings()
