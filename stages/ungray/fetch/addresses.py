"""Checks that an IP address is public: photos are requested from no others."""

from __future__ import annotations

import ipaddress
import socket
from collections.abc import Callable

Resolve = Callable[[str], list[str]]
"""Resolves a host name to its IP addresses, best first; raises OSError or UnicodeError if it has none."""

GLOBAL_UNICAST = ipaddress.IPv6Network("2000::/3")
NAT64 = ipaddress.IPv6Network("64:ff9b::/96")
INFRASTRUCTURE = (
    ipaddress.IPv4Network("192.0.0.0/24"),  # IETF protocols, and a cloud's metadata at .192
    ipaddress.IPv4Network("168.63.129.16/32"),  # the host that serves an Azure machine, metadata included
)
"""Networks that Python 3.11 considers global, but that must not be requested."""


def is_public(address: str) -> bool:
    """Return whether an IP address belongs to the public network.

    An IPv4 address inside an IPv6 one (mapped, 6to4, NAT64) is checked as the former. Multicast addresses,
    addresses with a zone and invalid ones are not public.
    """
    try:
        ip = ipaddress.ip_address(address)
    except ValueError:
        return False
    if isinstance(ip, ipaddress.IPv6Address):
        if ip.scope_id:
            return False
        inner = ip.ipv4_mapped or ip.sixtofour
        if ip in NAT64:
            inner = ipaddress.IPv4Address(int(ip) & 0xFFFFFFFF)
        if inner is None:
            return ip in GLOBAL_UNICAST and ip.is_global
        ip = inner
    return ip.is_global and not ip.is_multicast and not any(ip in network for network in INFRASTRUCTURE)


def look_up(host: str) -> list[str]:
    """Return the IP addresses of ``host`` from the system's resolver, in the order in which to try them.

    It also accepts addresses in other notations, such as 0x7f.1 or 2130706433.

    Raises:
        OSError, UnicodeError: the name does not exist or is malformed, or no name server answers.
    """
    found = socket.getaddrinfo(host, None, type=socket.SOCK_STREAM)
    return list(dict.fromkeys(str(endpoint[0]) for *_, endpoint in found))
