"""Several originals as one zip file."""

from __future__ import annotations

import io
import zipfile
from pathlib import Path

from tests.service.conftest import System
from vidrec.domain.models import NewVideo


def add(system: System, folder: Path, filename: str, data: bytes) -> str:
    folder.mkdir(exist_ok=True)
    path = folder / "original"
    path.write_bytes(data)
    new = NewVideo(location=path.as_uri(), filename=filename, size_bytes=len(data), content_sha256="0" * 64)
    with system.database.transaction() as uow:
        return str(uow.catalogue.add(new).id)


def test_the_originals_come_in_order_under_their_names(system: System, tmp_path: Path) -> None:
    files = [
        ("떡볶이 🌶.webm", b"a" * 600_000),
        ("clip.mp4", b"b"),
        ("Clip.mp4", b"c"),
        ("../../up.mp4", b"d"),
        ("..", b"e"),
    ]
    ids = [add(system, tmp_path / str(i), name, data) for i, (name, data) in enumerate(files)]
    answer = system.client.get("/videos.zip", params={"video": [*ids, ids[0]]})
    assert (answer.status_code, answer.headers["content-type"]) == (200, "application/zip")
    with zipfile.ZipFile(io.BytesIO(answer.content)) as archive:
        assert archive.testzip() is None
        assert archive.namelist() == ["떡볶이 🌶.webm", "clip.mp4", "Clip (2).mp4", ".._.._up.mp4", ids[4]]
        assert [archive.read(name) for name in archive.namelist()] == [data for _, data in files]


def test_what_is_not_there_is_told_before_anything_is_sent(system: System, tmp_path: Path) -> None:
    video = add(system, tmp_path / "0", "clip.mp4", b"b")
    unknown = "00000000-0000-7000-8000-000000000000"
    assert system.client.get("/videos.zip", params={"video": [video, unknown]}).status_code == 404
    assert system.client.get("/videos.zip", params={"video": [video, "external:nobody"]}).status_code == 404
    assert system.client.get("/videos.zip", params={"video": "x"}).status_code == 422
    assert system.client.get("/videos.zip").status_code == 422
    assert system.client.get("/videos.zip", params={"video": [video] * 101}).status_code == 422
    (tmp_path / "0" / "original").unlink()
    gone = system.client.get("/videos.zip", params={"video": video})
    assert (gone.status_code, gone.json()["detail"]) == (404, f"the original of video {video} is not there any more")
