"""Where the store can be reached by clients, the bytes of videos and pictures do not pass this service: it answers with
a short-lived address of the store."""

from __future__ import annotations

from fastapi import Request, Response

from vidrec.api.context import Context
from vidrec.application.ports import Presentation


def redirect(
    context: Context, location: str, content_type: str, disposition: str, request: Request, *, more_s: float = 0.0
) -> Response | None:
    """302 to the object, None where this service must send it; NotFound. `more_s`: how much longer than others this
    address must hold, since somebody who plays a video goes on reading for as long as it lasts."""
    presentation = Presentation(content_type=content_type, disposition=disposition)
    link = context.services.store.link(
        location, presentation, method=request.method, lifetime_s=context.media_url_s + more_s
    )
    if link is None:
        return None
    # An answer from the browser's cache must still lead somewhere.
    headers = {"Location": link, "Cache-Control": f"private, max-age={int(context.media_url_s / 2)}"}
    return Response(status_code=302, headers=headers)
