"""Bodies of uploads that come in through this service."""

from __future__ import annotations

from collections.abc import Callable

from vidrec.application.ports import ArrivedObject, ArrivedPart, Incoming
from vidrec.domain.errors import TooLarge
from vidrec.domain.uploads import Upload


class Receiving:
    """One request's body on its way in; `discard` in the end, whatever happened."""

    def __init__(
        self,
        upload: Upload,
        incoming: Incoming,
        arrived: Callable[[Upload, ArrivedObject], None],
        *,
        limit: int,
        declared: int | None,
    ) -> None:
        """`arrived` is told of a whole object. TooLarge where what the request declares is over `limit` bytes."""
        if (declared or 0) > limit:
            raise _over(limit)
        self._upload = upload
        self._incoming = incoming
        self._arrived = arrived
        self._limit = self._left = limit

    def write(self, data: bytes) -> None:
        """The next bytes; see Incoming. TooLarge beyond the limit."""
        self._left -= len(data)
        if self._left < 0:
            raise _over(self._limit)
        self._incoming.write(data)

    def finish(self) -> tuple[Upload, ArrivedObject | ArrivedPart]:
        """Puts the bytes in their place; a whole object is taken in at once."""
        found = self._incoming.finish()
        if isinstance(found, ArrivedObject):
            self._arrived(self._upload, found)
        return self._upload, found

    def discard(self) -> None:
        """Leaves nothing behind of what was not finished."""
        self._incoming.discard()


def _over(limit: int) -> TooLarge:
    return TooLarge(f"the file is larger than the {limit} bytes that are taken", field="body")
