"""Files over HTTP, whole or not at all."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable
from pathlib import Path

import httpx

from vidrec.domain.errors import Unavailable

TIMEOUT_S = 30.0
PIECE = 1 << 20


def download(url: str, target: Path, check: Callable[[Path], None], tell: Callable[[int, int | None], None]) -> None:
    """Writes what the address answers to `target`, after `check` has accepted the finished file. `tell` is told bytes
    done and in all, where that is known. Unavailable where nobody answers or with an error."""
    target.parent.mkdir(parents=True, exist_ok=True)
    partial = target.parent / f".partial-{os.getpid()}" / target.name
    partial.parent.mkdir(exist_ok=True)
    try:
        with httpx.stream("GET", url, follow_redirects=True, timeout=TIMEOUT_S) as answer, partial.open("wb") as file:
            answer.raise_for_status()
            length = answer.headers.get("content-length")
            for piece in answer.iter_bytes(PIECE):
                file.write(piece)
                tell(file.tell(), int(length) if length else None)
        check(partial)
        os.replace(partial, target)
    except httpx.HTTPStatusError as error:
        raise Unavailable(f"{url}: the answer was {error.response.status_code}") from None
    except httpx.HTTPError as error:
        reason = str(error) or type(error).__name__
        raise Unavailable(f"could not download {url}: {reason}") from None
    finally:
        shutil.rmtree(partial.parent)
