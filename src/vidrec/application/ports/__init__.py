"""What the use cases need from the outside, in the domain's words. One adapter per system implements each port;
fakes and real adapters pass the same suite in `tests/contract`. Adapters raise only `vidrec.domain.errors`.

sql      Database, UnitOfWork, and by it Catalogue, Interactions, Profiles, Recommendations, ModelVersions, Receipts
access   Signing, and by the UnitOfWork KeyRecords
queue    JobQueue
vectors  VectorIndex
media    MediaStore, FrameSource, Renderer, Encoder
splits   by the UnitOfWork Splits
uploads  UploadStore, UploadReceiver, and by the UnitOfWork UploadRecords, ProgressNotes
observing  Observers: Observe, AroundJob
"""

from vidrec.application.ports.access import KeyRecords, Signing
from vidrec.application.ports.media import (
    Encoder,
    FrameSource,
    ListedObject,
    MediaStore,
    ObjectLibrary,
    Original,
    PartialFile,
    Presentation,
    Renderer,
)
from vidrec.application.ports.observing import AroundJob, Observe, Observers, unobserved
from vidrec.application.ports.queue import JobQueue
from vidrec.application.ports.splits import SplitRange, Splits
from vidrec.application.ports.sql import (
    Catalogue,
    Database,
    Interactions,
    ModelRoles,
    ModelVersions,
    Profiles,
    Receipt,
    Receipts,
    Recommendations,
    UnitOfWork,
    VideoChanges,
)
from vidrec.application.ports.uploads import (
    ArrivedObject,
    ArrivedPart,
    Conditions,
    Incoming,
    ProgressNotes,
    SignedRequest,
    UploadReceiver,
    UploadRecords,
    UploadStore,
)
from vidrec.application.ports.vectors import Hit, VectorIndex

__all__ = [
    "AroundJob",
    "ArrivedObject",
    "ArrivedPart",
    "Catalogue",
    "Conditions",
    "Database",
    "Encoder",
    "FrameSource",
    "Hit",
    "Incoming",
    "Interactions",
    "JobQueue",
    "KeyRecords",
    "ListedObject",
    "MediaStore",
    "ModelRoles",
    "ModelVersions",
    "ObjectLibrary",
    "Observe",
    "Observers",
    "Original",
    "PartialFile",
    "Presentation",
    "Profiles",
    "ProgressNotes",
    "Receipt",
    "Receipts",
    "Recommendations",
    "Renderer",
    "SignedRequest",
    "Signing",
    "SplitRange",
    "Splits",
    "UnitOfWork",
    "UploadReceiver",
    "UploadRecords",
    "UploadStore",
    "VectorIndex",
    "VideoChanges",
    "unobserved",
]
