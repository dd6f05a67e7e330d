"""The SHA-256 of originals: two videos of the same bytes are one to whoever is shown a list."""

from __future__ import annotations

import hashlib

from vidrec.application.ports import Database, Original
from vidrec.application.reading import pieces
from vidrec.domain.errors import FailureReason, UnusableMedia

_PIECE = 1 << 20


def sha256_of(original: Original) -> str:
    """The digest of the whole file, in hex; of one that comes as it is read, all that is missing is fetched."""
    digest = hashlib.sha256()
    for data in pieces(original, _PIECE):
        digest.update(data)
    return digest.hexdigest()


def learn_digest(database: Database, video_id: str, digest: str) -> None:
    """Keeps the digest. UnusableMedia where another one was declared for the upload of this video."""
    with database.transaction() as uow:
        declared = uow.uploads.declared_sha256(video_id)
        if declared in (None, digest):
            uow.catalogue.set_sha256(video_id, digest)
            return
    raise UnusableMedia(
        FailureReason.OTHER_BYTES, f"The bytes that arrived are others than were declared: their SHA-256 is {digest}."
    )
