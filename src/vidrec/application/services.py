"""All use cases that one API process serves, composed from the ports."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Self

from vidrec.application.catalogue import VideoCatalogue
from vidrec.application.erase import Eraser
from vidrec.application.events import EventLog
from vidrec.application.ports import Database, Encoder, JobQueue, MediaStore, VectorIndex
from vidrec.application.profiles import UserProfiles
from vidrec.application.recommend import Recommender
from vidrec.application.search import PictureSearch
from vidrec.application.spotlight import Spotlight
from vidrec.application.upload import Uploads
from vidrec.domain.models import Frames


@dataclass(frozen=True, slots=True, kw_only=True)
class Services:
    """What the routes call."""

    database: Database
    index: VectorIndex
    queue: JobQueue
    store: MediaStore
    recommender: Recommender
    profiles: UserProfiles
    spotlight: Spotlight
    catalogue: VideoCatalogue
    events: EventLog
    eraser: Eraser
    pictures: PictureSearch
    uploads: Uploads

    @classmethod
    def compose(
        cls,
        *,
        database: Database,
        index: VectorIndex,
        queue: JobQueue,
        store: MediaStore,
        encoder: Encoder,
        read_picture: Callable[[bytes], Frames],
        uploads: Uploads,
        popular_refresh_s: float = 5.0,
        candidates_per_interest: int = 100,
        diversity: float = 0.3,
    ) -> Self:
        """The use cases over these ports; see `PictureSearch` for `read_picture`."""
        spotlight = Spotlight(database, refresh_s=popular_refresh_s)
        recommender = Recommender(
            database, index, spotlight, candidates_per_interest=candidates_per_interest, diversity=diversity
        )
        return cls(
            database=database,
            index=index,
            queue=queue,
            store=store,
            recommender=recommender,
            profiles=UserProfiles(database, index),
            spotlight=spotlight,
            catalogue=VideoCatalogue(database, index),
            events=EventLog(database),
            eraser=Eraser(database, queue),
            pictures=PictureSearch(database, encoder, recommender, read_picture),
            uploads=uploads,
        )

    def close(self) -> None:
        """Lets go of the stores."""
        self.index.close()
        self.database.close()
