"""The egress guard: refuse webhooks to internal addresses.

It checks addresses where sockets are created: after DNS, for literals in any notation, and for each address of a name.
So the checked address is the one that is connected to. `webhooks.allow_networks` allows networks of the operator.
"""

import socket
from collections.abc import Callable, Iterable
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address, ip_network
from typing import Final

from aiohttp import AddrInfoType

Network = IPv4Network | IPv6Network
Address = IPv4Address | IPv6Address

# From the IANA registries of special-purpose addresses. `ipaddress` is not used, because its answers differ between
# versions of Python and allow translated addresses.
_SPECIAL_V4: Final = {
    "0.0.0.0/8": "unspecified",
    "10.0.0.0/8": "private",
    "100.64.0.0/10": "shared by a provider's customers",
    "127.0.0.0/8": "loopback",
    "168.63.129.16/32": "a cloud's internal service",
    "169.254.0.0/16": "link-local",
    "172.16.0.0/12": "private",
    "192.0.0.0/24": "reserved",
    "192.0.2.0/24": "documentation",
    "192.88.99.0/24": "6to4 relay",
    "192.168.0.0/16": "private",
    "198.18.0.0/15": "benchmarking",
    "198.51.100.0/24": "documentation",
    "203.0.113.0/24": "documentation",
    "224.0.0.0/4": "multicast",
    "240.0.0.0/4": "reserved",
}
# The first match names the kind. The last one is everything outside the only global unicast block.
_SPECIAL_V6: Final = {
    "::/128": "unspecified",
    "::1/128": "loopback",
    "64:ff9b::/96": "NAT64, which leads to an IPv4 address",
    "64:ff9b:1::/48": "NAT64, which leads to an IPv4 address",
    "2001::/32": "Teredo, which leads to an IPv4 address",
    "2001:db8::/32": "documentation",
    "2001::/23": "reserved",
    "2002::/16": "6to4, which leads to an IPv4 address",
    "3fff::/20": "documentation",
    "fc00::/7": "private",
    "fe80::/10": "link-local",
    "fec0::/10": "site-local",
    "ff00::/8": "multicast",
}
_GLOBAL_V6: Final = IPv6Network("2000::/3")
_SPECIAL: Final[dict[int, list[tuple[Network, str]]]] = {
    4: [(IPv4Network(network), kind) for network, kind in _SPECIAL_V4.items()],
    6: [(IPv6Network(network), kind) for network, kind in _SPECIAL_V6.items()],
}


class BlockedAddress(OSError):  # noqa: N818 - named after its subject
    """A webhook may not be sent to this address."""

    def __init__(self, address: str, kind: str) -> None:
        super().__init__(
            f"blocked address {address} ({kind}); if the endpoint is there on purpose, "
            "add its network to webhooks.allow_networks"
        )


class Guard:
    """Checks addresses. `open_socket` is the connector's `socket_factory`."""

    def __init__(
        self,
        allow_networks: Iterable[str | Network] = (),
        make: Callable[[int, int, int], socket.socket] = socket.socket,
    ) -> None:
        self._allowed = [ip_network(network) for network in allow_networks]
        self._make = make

    def open_socket(self, target: AddrInfoType) -> socket.socket:
        """Return a socket for a connection attempt. Raises `BlockedAddress`."""
        family, kind, protocol, _, where = target
        if (blocked := self.refusal(str(where[0]))) is not None:
            raise BlockedAddress(str(where[0]), blocked)
        return self._make(family, kind, protocol)

    def refusal(self, host: str) -> str | None:
        """Return the kind of a refused address, or None if it is allowed."""
        address = _address(host)
        if address is None:
            return "not an address"
        if any(address in network for network in self._allowed):
            return None
        for network, kind in _SPECIAL[address.version]:
            if address in network:
                return kind
        return "reserved" if address.version == 6 and address not in _GLOBAL_V6 else None


def _address(host: str) -> Address | None:
    """Parse an address, including old notations and IPv4 inside IPv6."""
    try:
        address = ip_address(host.partition("%")[0])
    except ValueError:
        try:
            # Notations of the C library: 127.1, 2130706433, 0x7f000001, 0177.0.0.1.
            address = IPv4Address(socket.inet_aton(host))
        except OSError:
            return None
    if isinstance(address, IPv6Address) and address.ipv4_mapped is not None:
        return address.ipv4_mapped
    return address
