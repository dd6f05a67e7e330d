"""What the API takes and answers. Answers are built in `answers.py`; these models describe them in the OpenAPI
document, and the tests check every answer against them."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Any, Literal, Self

from pydantic import AwareDatetime, BaseModel, ConfigDict, Field, field_validator, model_validator
from pydantic_core import PydanticCustomError

from vidrec.api.parameters import ContentType, ExternalId, FileName, FileSize, Sha256, Text, UserId, Uuid
from vidrec.application.events import MAX_BATCH, Event
from vidrec.application.ports import VideoChanges
from vidrec.application.upload import MAX_SIGNED, Announced
from vidrec.domain.errors import FailureReason
from vidrec.domain.models import InteractionType, VideoStatus
from vidrec.domain.playback import Playable
from vidrec.domain.uploads import Stage

Seconds = Annotated[float, Field(ge=0, le=1e7, allow_inf_nan=False)]


class _Taken(BaseModel):
    model_config = ConfigDict(extra="forbid", strict=True, frozen=True)


class _Answered(BaseModel):
    model_config = ConfigDict(extra="forbid")


# ------------------------------------------------------------------------------------------------ taken


class EventIn(_Taken):
    """What a user did. One of `video_id` and `external_id` names the video."""

    user_id: UserId
    video_id: Uuid | None = None
    external_id: ExternalId | None = None
    type: InteractionType
    event_id: Text | None = Field(None, description="Unique per user; telling it twice is telling it once.")
    fraction: float | None = Field(
        None, ge=0, le=1, allow_inf_nan=False, description="For `watch`: the part of the video that was really watched."
    )
    position_s: Seconds | None = Field(None, description="Where in the video it happened.")
    session_id: Text | None = None
    recommendation_id: Uuid | None = Field(None, description="The recommendation that the video came from.")
    ts: Annotated[AwareDatetime, Field(ge=datetime.fromisoformat("1970-01-01T00:00:00+00:00"))] | None = Field(
        None, description="When it happened, RFC 3339 with an offset; now, where absent."
    )

    @model_validator(mode="after")
    def _names_one_video(self) -> Self:
        if (self.video_id is None) == (self.external_id is None):
            raise PydanticCustomError("video", "give one of video_id and external_id")
        return self

    def event(self) -> Event:
        """As the use case takes it."""
        return Event(**dict(self))


EventsIn = Annotated[list[EventIn], Field(min_length=1, max_length=MAX_BATCH)]


class VideoPatch(_Taken):
    """Members that are absent stay as they are."""

    title: Text | None = None
    category: Text | None = None
    tags: Annotated[list[Text], Field(max_length=100)] | None = None
    available: bool | None = Field(None, description="False: shown to nobody, and kept.")

    @field_validator("*", mode="before")
    @classmethod
    def _is_not_null(cls, value: object) -> object:
        if value is None:
            raise PydanticCustomError("null", "must not be null: leave it out to keep it as it is")
        return value

    @model_validator(mode="after")
    def _changes_something(self) -> Self:
        if not self.model_fields_set:
            raise PydanticCustomError("empty", "give at least one of title, category, tags, available")
        return self

    def changes(self) -> VideoChanges:
        """As the use case takes them."""
        tags = None if self.tags is None else tuple(self.tags)
        return VideoChanges(title=self.title, category=self.category, tags=tags, available=self.available)


class UploadIn(_Taken):
    """A file that is to be sent in parts."""

    bucket: Text
    filename: FileName
    size: FileSize = Field(description="Of the whole file, in bytes.")
    title: Text | None = None
    category: Text | None = None
    tags: Annotated[list[Text], Field(max_length=100)] = []
    external_id: ExternalId | None = None
    content_type: ContentType | None = None
    sha256: Sha256 | None = Field(None, description="Of the whole file; other bytes are refused.")

    def announced(self) -> Announced:
        """As the use case takes it."""
        return Announced(**{**dict(self), "tags": tuple(self.tags)})


class PartsIn(_Taken):
    """Parts whose addresses are asked for."""

    numbers: Annotated[list[int], Field(min_length=1, max_length=MAX_SIGNED, description="From 1.")]


# --------------------------------------------------------------------------------------------- answered


PlayableOut = Annotated[Playable, Field(description="By browsers: `preparing` while a copy that plays is being made.")]


class Links(_Answered):
    """Where the video is. While keys are needed, those to media work by themselves, for a while."""

    self_: str = Field(alias="self")
    thumbnail: str
    segment_picture: str = Field(description="Of a frame; put `0` to `segment_count - 1` for `{number}`.")
    stream: str
    download: str
    similar: str


class VideoLinks(Links):
    """Where the video is, and how far."""

    events: str


class Moment(_Answered):
    """A range of seconds of one video."""

    start_s: float
    end_s: float
    picture: str = Field(description="Where a frame of it is.")


class WatchedOut(_Answered):
    """The video that was watched (or asked about)."""

    id: str
    external_id: str | None
    title: str
    moment: Moment | None = Field(description="The moment of it that is most like the item's.")
    links: Links


class WhyOut(_Answered):
    """The reason for an item. `similar`: its `moment` is like that of the `watched` video (or like the picture that
    was sent). `popular`, `fresh`: nothing is known of the user's taste."""

    type: Literal["similar", "popular", "fresh"]
    watched: WatchedOut | None = None
    moment: Moment | None = None
    similarity: float | None = Field(None, description="Cosine of the two moments, -1 to 1.")


class ItemOut(_Answered):
    """One video of an answer."""

    id: str
    external_id: str | None
    title: str
    duration_s: float | None
    segment_count: int = Field(description="Frames along the video are at `links.segment_picture`.")
    score: float = Field(description="Higher is better; cosine to the nearest interest, 0 for popular and fresh.")
    playable: PlayableOut
    why: WhyOut
    links: Links


class ModelOut(_Answered):
    """The encoder whose embeddings were compared."""

    version: str
    name: str
    trained: bool


class RecommendationOut(_Answered):
    """A page of a recommendation."""

    recommendation_id: str
    userid: str
    strategy: Literal["content", "popular"]
    degraded: bool = Field(description="A store does not answer, so this is poorer than it should be.")
    model: ModelOut | None
    notice: str | None = Field(description="What the reader should know of these results, in one sentence.")
    items: list[ItemOut]
    next_cursor: str | None


class ItemsOut(_Answered):
    """Videos, best first."""

    items: list[ItemOut]


class FailureOut(_Answered):
    """Why a video cannot be indexed."""

    reason: FailureReason
    message: str


class MediaOut(_Answered):
    """What is in the file."""

    container: str
    video_codec: str
    audio_codec: str | None
    width: int
    height: int


class RangesOut(_Answered):
    """Ranges of time that workers share."""

    done: int
    total: int


class ProgressOut(_Answered):
    """Seconds of the video."""

    done: int = Field(description="Seconds that were decoded.")
    total: int | None = Field(description="Its length; None where the file does not say.")
    ranges: RangesOut | None = Field(description="Of a long video that workers share: ranges done, of all.")


class VideoOut(_Answered):
    """One video of the catalogue."""

    id: str
    external_id: str | None
    title: str
    status: VideoStatus
    category: str | None
    tags: list[str]
    duration_s: float | None = Field(description="None until the file was looked into.")
    available: bool
    playable: PlayableOut
    failure: FailureOut | None
    filename: str
    size_bytes: int
    url: str | None
    media: MediaOut | None
    segment_count: int
    stage: Stage = Field(description="Finer than the status, while it is processed.")
    progress: ProgressOut | None
    created_at: datetime
    indexed_at: datetime | None
    links: VideoLinks


class VideosOut(_Answered):
    """Videos, newest first."""

    items: list[VideoOut]
    next_cursor: str | None


class AcceptedOut(_Answered):
    """What became of a batch of events: all were accepted."""

    accepted: int
    repeated: int = Field(description="Told before under the same user_id and event_id; not counted twice.")
    dropped: int = Field(description="About deleted videos.")


class CandidateOut(_Answered):
    """One video of a recommendation, in the order of its pages."""

    id: str
    score: float
    source: str
    interest: int | None = Field(description="Index into `interests`.")


class InterestOut(_Answered):
    """One thing that the user liked at the time."""

    video_id: str | None = Field(description="The video that stands for it; None where it was deleted since.")
    importance: float
    members: list[str]


class RecordOut(_Answered):
    """What a recommendation was made from."""

    recommendation_id: str
    userid: str
    created_at: datetime
    strategy: str
    degraded: bool
    model_version: str | None
    code_version: str
    interaction_cutoff: int
    parameters: dict[str, Any]
    interests: list[InterestOut]
    candidates: list[CandidateOut]


class NotifiedOut(_Answered):
    """A notification was taken."""

    objects: int = Field(description="Of how many objects it told.")


class HealthOut(_Answered):
    """`ok`, or what is wrong."""

    status: str


class SignedOut(_Answered):
    """Where the file can be PUT, once."""

    PresignedURL: str
    video_id: str
    status_url: str = Field(description="Where its stage is told.")
    method: Literal["PUT"]
    headers: dict[str, str] = Field(description="Headers that the request must have.")
    expires_at: datetime


class BegunOut(_Answered):
    """An upload in parts."""

    upload_id: str
    video_id: str
    part_size: int = Field(description="Bytes of every part but the last.")
    status_url: str
    expires_at: datetime


class PartOut(_Answered):
    """A part that is there."""

    number: int
    size: int
    etag: str


class UploadOut(_Answered):
    """How far an upload in parts is."""

    upload_id: str
    video_id: str
    size: int
    part_size: int
    complete: bool
    parts: list[PartOut] = Field(description="Those that are there, by number; none once it is complete.")
    expires_at: datetime


class SignedPartOut(_Answered):
    """Where a part can be PUT."""

    number: int
    url: str
    method: Literal["PUT"]
    headers: dict[str, str]
    expires_at: datetime


class SignedPartsOut(_Answered):
    """In the order in which they were asked for."""

    parts: list[SignedPartOut]


class UploadedOut(_Answered):
    """The bytes are there: the video waits to be indexed."""

    video_id: str
    status_url: str
