"""A process that takes an upload is killed at its worst moments: nothing is lost, doubled or left behind."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path
from urllib.parse import parse_qsl, urlsplit

import pytest

from vidrec.adapters.local_store import LocalStore
from vidrec.adapters.local_uploads import IDLE_S, LocalUploads
from vidrec.adapters.signing import Signer
from vidrec.adapters.sql import SqlDatabase
from vidrec.adapters.sqlite_queue import SqliteQueue
from vidrec.application.upload import Announced, Swept, UploadPolicy, Uploads
from vidrec.domain.models import VideoStatus
from vidrec.domain.uploads import MIN_PART, Upload

SIZE = MIN_PART + 1000
_CHILD = """
import os, signal, sys
from pathlib import Path
from urllib.parse import parse_qsl, urlsplit
from tests.contract.test_upload_kill import uploads_in
from vidrec.application.upload import Announced, Uploads

folder, moment, kind = Path(sys.argv[1]), sys.argv[2], sys.argv[3]
database, uploads = uploads_in(folder)

def die(*_, **__):
    os.kill(os.getpid(), signal.SIGKILL)

if moment == "before the transaction":
    Uploads.arrived = die
elif moment == "in the transaction":
    from vidrec.adapters.sqlite_queue import SqliteQueue
    SqliteQueue.enqueue = die
elif moment == "before the move":
    os.fsync = die

def put(upload, signed, data):
    query = dict(parse_qsl(urlsplit(signed.url).query))
    receiving = uploads.receive(upload.bucket, upload.key, query, content_type=None, content_length=None)
    receiving.write(data)
    receiving.finish()
    receiving.discard()

if kind == "single":
    put(*uploads.sign(Announced(bucket="videos", filename="a.webm")), b"film" * 1000)
else:
    with database.snapshot() as uow:
        [upload] = uow.uploads.waiting(1)
    uploads.complete(upload.id)
raise SystemExit("was to be killed")
"""


def uploads_in(folder: Path) -> tuple[SqlDatabase, Uploads]:
    """Uploads as a process opens them."""
    database = SqlDatabase(f"sqlite:///{folder / 'vidrec.db'}")
    media = folder / "media"
    store = LocalUploads(media, folder / "upload.secret")
    return database, Uploads(database, SqliteQueue(database), LocalStore(media), store, store, UploadPolicy())


def kill_while_taking(folder: Path, moment: str, kind: str) -> None:
    command = [sys.executable, "-c", _CHILD, str(folder), moment, kind]
    done = subprocess.run(command, cwd=Path(__file__).parents[2], capture_output=True, text=True, check=False)
    assert done.returncode == -signal.SIGKILL, done.stderr


def waiting(database: SqlDatabase) -> list[Upload]:
    with database.snapshot() as uow:
        return list(uow.uploads.waiting(10))


def kept(folder: Path) -> list[Path]:
    return [path for path in (folder / "media").rglob("*") if path.is_file()]


@pytest.fixture
def folder(migrated: Path, tmp_path: Path) -> Path:
    """A data folder, in which processes that are killed find all stores."""
    shutil.copy(migrated, tmp_path / "vidrec.db")
    Signer(tmp_path / "upload.secret").sign("PUT", "/", {})
    return tmp_path


@pytest.mark.parametrize("moment", ["before the transaction", "in the transaction"])
@pytest.mark.parametrize("kind", ["single", "parts"])
def test_what_was_stored_is_taken_over_once(folder: Path, moment: str, kind: str) -> None:
    database, uploads = uploads_in(folder)
    if kind == "parts":
        begun = uploads.begin(Announced(bucket="videos", filename="a.webm", size=SIZE))
        store = LocalUploads(folder / "media", folder / "upload.secret")
        for number in (1, 2):
            _put_part(store, begun, number)
    kill_while_taking(folder, moment, kind)
    [upload] = waiting(database)
    with database.snapshot() as uow:
        assert uow.catalogue.get([upload.video_id])[upload.video_id].status is VideoStatus.UPLOADING
    assert SqliteQueue(database).list() == []
    assert uploads.sweep() == Swept(arrived=1)
    assert uploads.sweep() == Swept()
    with database.snapshot() as uow:
        video = uow.catalogue.get([upload.video_id])[upload.video_id]
    assert (video.status, video.size_bytes) == (VideoStatus.QUEUED, 4000 if kind == "single" else SIZE)
    assert len(video.content_sha256) == 64
    assert [job.video_id for job in SqliteQueue(database).list()] == [upload.video_id]
    assert waiting(database) == []
    age(folder)
    uploads.sweep()
    assert kept(folder) == [folder / "media" / upload.key]
    database.close()


def test_what_was_cut_short_is_not_taken_and_goes(folder: Path) -> None:
    database, uploads = uploads_in(folder)
    kill_while_taking(folder, "before the move", "single")
    assert len(kept(folder)) == 1
    assert uploads.sweep() == Swept()
    age(folder)
    assert uploads.sweep() == Swept(leftovers=1)
    assert kept(folder) == []
    assert SqliteQueue(database).list() == []
    database.close()


def age(folder: Path) -> None:
    """All that is pending was not touched for long."""
    old = time.time() - IDLE_S - 100_000
    for path in [*(folder / "media" / "~uploads").rglob("*")]:
        os.utime(path, (old, old))


def _put_part(store: LocalUploads, upload: Upload, number: int) -> None:
    size = upload.size_of(number)
    signed = store.sign_part(upload.bucket, upload.key, str(upload.store_id), number, size=size, lifetime_s=60)
    query = dict(parse_qsl(urlsplit(signed.url).query))
    incoming = store.receive(upload.bucket, upload.key, query, content_type=None, content_length=size, limit=1 << 30)
    incoming.write(bytes([number]) * size)
    incoming.finish()
    incoming.discard()
