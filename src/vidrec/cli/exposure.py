"""Whether an API that asks for no key would be reached by other machines."""

from __future__ import annotations

import socket
from ipaddress import ip_address

from vidrec.domain.errors import InvalidInput
from vidrec.settings import Settings


def refuse_exposure(settings: Settings) -> None:
    """InvalidInput where the API would listen beyond this machine and let everybody in, unless that is wished for."""
    if settings.auth == "off" and not settings.allow_open and not is_loopback(settings.host):
        raise InvalidInput(
            f"the API would let everybody in who reaches {settings.host or 'this machine'}: set VIDREC_AUTH=keys and "
            "make a key by `vidrec keys create`, or set VIDREC_ALLOW_OPEN=true if that is what you want",
            field="VIDREC_AUTH",
        )


def is_loopback(host: str) -> bool:
    """Whether only this machine reaches what listens there; a name counts where all its addresses do."""
    try:
        return ip_address(host).is_loopback
    except ValueError:
        pass
    try:
        found = {str(entry[4][0]) for entry in socket.getaddrinfo(host, None)} if host else set()
    except OSError:
        return False
    return bool(found) and all(ip_address(address.partition("%")[0]).is_loopback for address in found)
