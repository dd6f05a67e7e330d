"""Searching videos by a picture."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from vidrec.application.explain import Item
from vidrec.application.ports import Database, Encoder
from vidrec.application.recommend import Recommender
from vidrec.domain.errors import Conflict
from vidrec.domain.models import Frames


class PictureSearch:
    """The only use case of the API that asks the encoder. Thread-safe. `read_picture` turns the bytes of a picture file
    into one frame, shape (1, 224, 224, 3), and raises InvalidInput where they are none."""

    def __init__(
        self, database: Database, encoder: Encoder, recommender: Recommender, read_picture: Callable[[bytes], Frames]
    ) -> None:
        self._database = database
        self._encoder = encoder
        self._recommender = recommender
        self._read_picture = read_picture

    def search(self, picture: bytes, *, n: int) -> Sequence[Item]:
        """Videos with a moment like the picture, best first. InvalidInput where the bytes are no picture; Conflict
        while no model is active; Unavailable where the encoder or the index does not answer."""
        frame = self._read_picture(picture)
        with self._database.snapshot() as uow:
            model = uow.models.active()
        if model is None:
            raise Conflict("no model is active yet: ingest a video first")
        embedding = self._encoder.encode(frame, model_version=model.version)[0]
        return self._recommender.nearest(embedding, n=n, model_version=model.version)
