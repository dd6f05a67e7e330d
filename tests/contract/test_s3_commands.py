"""`vidrec s3` and `vidrec ingest s3://`, on a real S3 server."""

from __future__ import annotations

import json
import logging
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.s3 import VERSITY, S3Server
from vidrec import bootstrap
from vidrec.adapters.s3 import S3Store, S3Uploads, buckets
from vidrec.cli import main
from vidrec.cli.s3 import warn_of_cors
from vidrec.settings import load_settings


@pytest.fixture(params=[VERSITY])
def server(request: pytest.FixtureRequest, s3_of: Callable[[str], S3Server]) -> S3Server:
    return s3_of(request.param)


@pytest.fixture
def bucket(server: S3Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    """A bucket that the settings name, in an environment of its own."""
    name = server.bucket()
    for setting, value in {
        "DATA_DIR": str(tmp_path / "data"),
        "MEDIA_URL": f"s3://{name}/media",
        "BUCKETS": json.dumps([name]),
        "S3_ENDPOINT": server.server.uri,
        "S3_REGION": "us-east-1",
        "S3_PATH_STYLE": "true",
    }.items():
        monkeypatch.setenv(f"VIDREC_{setting}", value)
    return name


def run(*arguments: str) -> int:
    with pytest.raises(SystemExit) as ended:
        main(arguments)
    return int(ended.value.code or 0)


def said(capsys: pytest.CaptureFixture[str]) -> dict[str, object]:
    found: dict[str, object] = json.loads(capsys.readouterr().out)
    return found


def test_cors_is_shown_and_set_and_missed_at_the_start(
    server: S3Server,
    bucket: str,
    capsys: pytest.CaptureFixture[str],
    caplog: pytest.LogCaptureFixture,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("VIDREC_PUBLIC_URL", "https://a.example/below")
    caplog.set_level(logging.WARNING, "vidrec.cli.s3")
    warn_of_cors(load_settings())
    assert "vidrec s3 cors --apply" in caplog.text
    assert run("s3", "cors", "--json") == 1
    assert said(capsys)["buckets"] == {bucket: False}
    assert run("s3", "cors") == 1
    assert '"AllowedOrigins"' in capsys.readouterr().err
    assert run("s3", "cors", "--apply", "--json") == 0
    assert said(capsys)["buckets"] == {bucket: True}
    assert buckets.allows(buckets.cors(server.s3, bucket), "https://a.example")
    assert run("s3", "cors", "--origin", "https://b.example/") == 1
    caplog.clear()
    warn_of_cors(load_settings())
    assert caplog.text == ""


def test_what_a_store_does_not_know_is_said(server: S3Server, bucket: str, capsys: pytest.CaptureFixture[str]) -> None:
    try:
        buckets.lifecycle(server.s3, bucket)
    except buckets.NotKnown:
        assert run("s3", "lifecycle", "--apply") == 1
        assert capsys.readouterr().err == "error: this object store has no lifecycle for buckets\n"
    else:
        assert run("s3", "lifecycle", "--apply") == 0


@pytest.mark.usefixtures("bucket")
def test_an_origin_is_needed(capsys: pytest.CaptureFixture[str]) -> None:
    assert run("s3", "cors") == 2
    assert "--origin" in capsys.readouterr().err


def test_without_an_object_store_there_is_nothing_to_do(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("VIDREC_DATA_DIR", str(tmp_path))
    for command in (["s3", "lifecycle"], ["ingest", "s3://films/a"]):
        assert run(*command) == 2
        assert "VIDREC_MEDIA_URL" in capsys.readouterr().err
    assert run("ingest", str(tmp_path), "--shard", "0/2") == 2
    assert "--shard" in capsys.readouterr().err


def test_a_library_is_taken_in_by_shards(
    server: S3Server, bucket: str, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    library = server.bucket()
    for n in range(8):
        server.s3.client.put_object(Bucket=library, Key=f"cats/{n} ü.webm", Body=b"film")
    server.s3.client.put_object(Bucket=library, Key="cats/notes.txt", Body=b"film")
    counts = []
    for index in range(2):
        monkeypatch.setenv("JOB_COMPLETION_INDEX", str(index))
        assert run("ingest", f"s3://{library}/cats", "--shard", "auto/2", "--no-follow", "--json") in (0,)
        counts.append(said(capsys)["queued"])
    assert sum(counts) == 8  # type: ignore[arg-type]
    assert 0 not in counts
    assert run("ingest", f"s3://{library}", "--no-follow", "--json") == 0
    told = said(capsys)
    assert (told["queued"], len(told["video_ids"])) == (8, 8)  # type: ignore[arg-type]  # they wait still


def test_the_settings_make_the_stores(bucket: str) -> None:
    settings = load_settings()
    store = bootstrap.open_media_store(settings)
    assert isinstance(store, S3Store)
    assert store.read(store.put("pictures/1/a.jpg", b"x")) == b"x"
    assert bootstrap.media_buckets(settings) == (bucket,)
    assert bootstrap.media_origins(settings) == (settings.s3_endpoint,)
    uploads, receiver = bootstrap._upload_store(settings)
    assert isinstance(uploads, S3Uploads)
    assert receiver is None


@pytest.mark.parametrize(
    ("name", "value"),
    [
        *(("MEDIA_URL", url) for url in ("bucket", "http://a/b", "s3://", "s3://UPPER", "s3://bucket/a b")),
        *(("S3_ENDPOINT", url) for url in ("host:9000", "https://host/path", "ftp://host")),
        *(("MEDIA_URL_S", seconds) for seconds in ("0", "100000")),
    ],
)
def test_settings_that_cannot_be_are_refused(
    name: str, value: str, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(f"VIDREC_{name}", value)
    assert run("settings") == 2
    assert f"VIDREC_{name}" in capsys.readouterr().err
