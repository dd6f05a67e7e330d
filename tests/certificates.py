"""Certificates for tests of TLS, made by openssl."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

import pytest


def self_signed(folder: Path, *names: str) -> tuple[Path, Path]:
    """PEM files of a certificate for these names (`DNS:...`, `IP:...`) and of its key; skips without openssl."""
    if shutil.which("openssl") is None:
        pytest.skip("openssl is not here")
    certificate, key = folder / "certificate.pem", folder / "key.pem"
    subject = ["-subj", "/CN=test", "-addext", f"subjectAltName={','.join(names)}", "-days", "2"]
    command = ["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes"]
    subprocess.run([*command, "-keyout", key, "-out", certificate, *subject], check=True, capture_output=True)
    return certificate, key
