"""What the use cases need from the outside, in the domain's words. One adapter per system implements each port;
fakes and real adapters pass the same suite in `tests/contract`. Adapters raise only `vidrec.domain.errors`.

sql      Database, UnitOfWork, and by it Catalogue, Interactions, Profiles, Recommendations, ModelVersions
erasure  by the UnitOfWork Receipts, Traces
access   Signing, and by the UnitOfWork KeyRecords
queue    JobQueue
vectors  VectorIndex
media    MediaStore, FrameSource, Renderer, Encoder
splits   by the UnitOfWork Splits
uploads  UploadStore, UploadReceiver, and by the UnitOfWork UploadRecords, ProgressNotes
observing  Observers: Observe, AroundJob
"""

from vidrec.application.ports.access import KeyRecords, Signing
from vidrec.application.ports.erasure import Look, Receipt, Receipts, Traces
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
    "Look",
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
    "Traces",
    "UnitOfWork",
    "UploadReceiver",
    "UploadRecords",
    "UploadStore",
    "VectorIndex",
    "VideoChanges",
    "unobserved",
]
