"""Commands that speak to what runs on the data folder."""

from __future__ import annotations

from vidrec.domain.errors import Conflict
from vidrec.settings import Settings


def running_settings(settings: Settings, *, needed: bool = True) -> Settings:
    """The settings with the addresses of the system that runs on the data folder, where one does; Conflict where one is
    needed: where the vectors are its own and nothing else can reach them."""
    from vidrec.supervisor.system import settings_of_running

    found = settings_of_running(settings)
    if found is None and needed and settings.embedded_milvus and not settings.database_url:
        raise Conflict(f"no system runs on {settings.data_dir}: start it first by `make run`")
    return found or settings
