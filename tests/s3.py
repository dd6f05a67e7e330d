"""Real S3 servers for tests: versitygw where it was built, and rclone from PyPI.

What rclone's server cannot do is skipped with the reason: it takes `If-None-Match` and `If-Match` without a word and
does nothing about them, keeps no versions, checksums and rules, and takes each part once, numbered without a gap. It
runs the suites of uploads and of the media store: where versitygw is not there in every run, else in the full one."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.servers import ACCESS_KEY, RCLONE, SECRET_KEY, VERSITYGW, Server, running, s3_server, s3_servers
from vidrec.adapters.s3 import S3, S3Options
from vidrec.domain.models import new_id

VERSITY = pytest.param(
    VERSITYGW,
    marks=pytest.mark.skipif(VERSITYGW not in s3_servers(), reason="versitygw is not here; `make versitygw` builds it"),
)
"""For fixtures: the server that can do all."""
_BESIDE = [pytest.mark.full] if VERSITYGW in s3_servers() else []
ANY = [
    VERSITY,
    pytest.param(RCLONE, marks=[*_BESIDE, pytest.mark.skipif(RCLONE not in s3_servers(), reason="rclone is not here")]),
]
"""For what rclone can do too."""


@dataclass
class S3Server:
    """A running server, and the client of it."""

    name: str
    server: Server
    s3: S3

    def bucket(self, *, versions: bool = False) -> str:
        """A new bucket."""
        name = f"b-{new_id()}"
        self.s3.client.create_bucket(Bucket=name)
        if versions:
            self.s3.client.put_bucket_versioning(Bucket=name, VersioningConfiguration={"Status": "Enabled"})
        return name

    def needs(self, what: str) -> None:
        """Skips where the server cannot do that."""
        if self.name == RCLONE:
            pytest.skip(f"rclone's server does not know {what}")


@contextmanager
def s3_running(name: str, folder: Path) -> Iterator[S3Server]:
    """The server of that name for the time of the block, and its credentials in the environment."""
    with pytest.MonkeyPatch.context() as environment, running(s3_server(name, folder)) as server:
        environment.setenv("AWS_ACCESS_KEY_ID", ACCESS_KEY)
        environment.setenv("AWS_SECRET_ACCESS_KEY", SECRET_KEY)
        environment.setenv("AWS_EC2_METADATA_DISABLED", "true")
        s3 = S3(S3Options(endpoint=server.uri, region="us-east-1", path_style=True))
        yield S3Server(name, server, s3)
        s3.close()
