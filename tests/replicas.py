"""The processes of a cluster on this machine: API, workers and encoders, each started by its own command, over one
PostgreSQL, one S3 server and one Milvus server."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import ExitStack, closing, contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path

import httpx

from tests.encoders import ready_at
from tests.postgres import Postgres, running_postgres
from tests.s3 import S3Server, s3_running
from tests.servers import RCLONE, VERSITYGW, Server, free_port, milvus_server, s3_servers
from tests.tiny_model import store_tiny_model
from vidrec.adapters.milvus import Access, MilvusIndex
from vidrec.adapters.sql import SqlDatabase
from vidrec.domain.models import ModelVersion
from vidrec.model.manifest import load_model_dir, to_model_version

LEASE_S = 4


@dataclass
class Cluster:
    """All of it. The processes keep nothing of their own: each has an empty data folder."""

    folder: Path
    postgres: Postgres
    database_url: str
    s3: S3Server
    milvus: Server
    model_dir: Path
    model: ModelVersion
    encoder_ports: list[int]
    stack: ExitStack
    encoders: list[Server] = field(default_factory=list)
    apis: list[Server] = field(default_factory=list)
    workers: list[Server] = field(default_factory=list)

    def environment(self) -> dict[str, str]:
        """What all processes are told."""
        return {
            "VIDREC_DATABASE_URL": self.database_url,
            "VIDREC_MILVUS_URI": self.milvus.uri,
            "VIDREC_MILVUS_TIMEOUT_S": "3",
            "VIDREC_ENCODER_URLS": json.dumps([f"http://127.0.0.1:{port}" for port in self.encoder_ports]),
            "VIDREC_MEDIA_URL": "s3://media",
            "VIDREC_S3_ENDPOINT": self.s3.server.uri,
            "VIDREC_S3_REGION": "us-east-1",
            "VIDREC_S3_PATH_STYLE": "true",
            "VIDREC_SECRET": "x" * 32,
            "VIDREC_LEASE_S": str(LEASE_S),
            "VIDREC_DRAIN_S": "15",
        }

    def encoder(self, port: int) -> Server:
        return self._process("encoder", port, "--port", str(port), VIDREC_ENCODER_MODEL=str(self.model_dir))

    def api(self) -> Server:
        port = free_port()
        return self._process("api", port, "--port", str(port))

    def worker(self) -> Server:
        port = free_port()
        return self._process("worker", port, VIDREC_WORKER_METRICS_PORT=str(port))

    def command(self, *arguments: str) -> subprocess.Popen[str]:
        """One more command on the same stores."""
        return subprocess.Popen(
            [sys.executable, "-m", "vidrec", *arguments],
            env={**os.environ, **self.environment(), "VIDREC_DATA_DIR": str(self.folder / "command")},
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )

    def _process(self, name: str, port: int, *arguments: str, **variables: str) -> Server:
        path = {"encoder": "/readyz", "api": "/livez", "worker": "/metrics"}[name]
        server = Server(
            [sys.executable, "-m", "vidrec", name, *arguments],
            port,
            self.folder / f"{name}-{port}.log",
            ready=ready_at(port, path),
            env={**self.environment(), "VIDREC_DATA_DIR": str(self.folder / f"{name}-{port}"), **variables},
        )
        self.stack.callback(server.kill)
        return server

    def frames_encoded(self, encoder: Server) -> float:
        """Since it was started; 0 where it does not answer."""
        with suppress(httpx.TransportError):
            lines = httpx.get(f"{encoder.uri}/metrics", timeout=5).text.splitlines()
            counted = (line for line in lines if line.startswith("vidrec_encoder_frames_total{"))
            return sum(float(line.rsplit(" ", 1)[1]) for line in counted)
        return 0.0

    def index(self) -> MilvusIndex:
        return MilvusIndex(Access(self.milvus.uri), timeout_s=30.0)

    def said(self, pattern: str) -> str:
        """The logs of the processes whose names match, for a failure."""
        logs = sorted(self.folder.glob(pattern))
        return "\n".join(f"== {log.name}\n{log.read_text(errors='replace')[-3000:]}" for log in logs)


@contextmanager
def running_cluster(folder: Path, *, apis: int, workers: int, encoders: int) -> Iterator[Cluster]:
    """Starts all of it, with the tiny model as the active one, and ends it with the block."""
    name = VERSITYGW if VERSITYGW in s3_servers() else RCLONE
    with ExitStack() as stack:
        milvus = milvus_server(folder / "milvus")
        stack.callback(milvus.stop)
        milvus.launch()
        postgres = stack.enter_context(running_postgres())
        url = postgres.url(postgres.create())
        s3 = stack.enter_context(s3_running(name, folder / "s3"))
        for bucket in ("videos", "media"):
            s3.s3.client.create_bucket(Bucket=bucket)
        model_dir = store_tiny_model(folder / "models")
        model = to_model_version(load_model_dir(model_dir))
        ports = [free_port() for _ in range(encoders)]
        cluster = Cluster(folder, postgres, url, s3, milvus, model_dir, model, ports, stack)
        cluster.encoders = [cluster.encoder(port) for port in ports]
        for encoder in cluster.encoders:
            encoder.launch()
        migrations = [cluster.command("migrate") for _ in range(2)]  # as the pods of two releases would
        for migration in migrations:
            _, said = migration.communicate(timeout=60)
            assert migration.returncode == 0, said
        with closing(SqlDatabase(url)) as database, database.transaction() as uow:
            uow.models.register(model)
            uow.models.activate(model.version)
        milvus.wait_until_ready()
        cluster.apis = [cluster.api() for _ in range(apis)]
        cluster.workers = [cluster.worker() for _ in range(workers)]
        started = [*cluster.apis, *cluster.workers]
        for server in started:
            server.launch()
        for server in [*cluster.encoders, *started]:
            server.wait_until_ready()
        yield cluster
