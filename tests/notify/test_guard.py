"""The table of addresses that webhooks may and may not be sent to."""

import socket
from ipaddress import ip_network

import pytest

from witnd.notify.guard import BlockedAddress, Guard

BLOCKED = [
    "0.0.0.0",
    "0.1.2.3",
    "10.0.0.1",
    "100.64.0.1",
    "100.100.100.200",
    "127.0.0.1",
    "127.255.255.254",
    "168.63.129.16",
    "169.254.169.254",
    "172.16.0.1",
    "172.31.255.255",
    "192.0.0.192",
    "192.0.2.1",
    "192.88.99.1",
    "192.168.1.1",
    "198.18.0.1",
    "198.19.255.255",
    "198.51.100.1",
    "203.0.113.1",
    "224.0.0.1",
    "239.255.255.255",
    "240.0.0.1",
    "255.255.255.255",
    "::",
    "::1",
    "::127.0.0.1",
    "::ffff:127.0.0.1",
    "::ffff:10.0.0.1",
    "::ffff:a9fe:a9fe",
    "::ffff:0:127.0.0.1",
    "64:ff9b::a9fe:a9fe",
    "64:ff9b::808:808",
    "64:ff9b:1::1",
    "100::1",
    "2001::1",
    "2001:0:53aa:64c::1",
    "2001:20::1",
    "2001:db8::1",
    "2002:7f00:1::",
    "2002:a9fe:a9fe::1",
    "3fff::1",
    "5f00::1",
    "fc00::1",
    "fd12:3456::1",
    "fd00:ec2::254",
    "fe80::1",
    "fe80::1%eth0",
    "febf::1",
    "fec0::1",
    "ff02::1",
    "0x7f000001",
    "0x7f.1",
    "2130706433",
    "127.1",
    "0177.0.0.1",
    "017700000001",
    "0",
    "not-an-address",
    "",
]
ALLOWED = [
    "1.1.1.1",
    "8.8.8.8",
    "100.63.255.255",
    "100.128.0.1",
    "172.15.255.255",
    "172.32.0.1",
    "192.0.1.1",
    "198.17.255.255",
    "198.20.0.1",
    "223.255.255.255",
    "::ffff:8.8.8.8",
    "2606:4700:4700::1111",
    "2a00:1450:4001::1",
    "2001:4860:4860::8888",
]


def target(host: str) -> tuple:
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    where = (host, 443, 0, 0) if ":" in host else (host, 443)
    return (family, socket.SOCK_STREAM, socket.IPPROTO_TCP, "", where)


@pytest.mark.parametrize("host", BLOCKED)
def test_a_special_address_gets_no_socket(host: str) -> None:
    with pytest.raises(BlockedAddress, match=r"webhooks\.allow_networks"):
        Guard().open_socket(target(host))


@pytest.mark.parametrize("host", ALLOWED)
def test_a_public_address_gets_one(host: str) -> None:
    with Guard().open_socket(target(host)) as opened:
        assert opened.type == socket.SOCK_STREAM


@pytest.mark.parametrize(
    ("network", "host", "allowed"),
    [
        ("127.0.0.0/8", "127.0.0.1", True),
        ("127.0.0.0/8", "::ffff:127.0.0.1", True),
        ("127.0.0.0/8", "0x7f000001", True),
        ("127.0.0.0/8", "::1", False),
        ("127.0.0.0/8", "10.0.0.1", False),
        ("10.1.0.0/16", "10.1.2.3", True),
        ("10.1.0.0/16", "10.2.0.1", False),
        ("10.1.2.3/32", "10.1.2.3", True),
        ("fd00::/8", "fd12::1", True),
        ("fd00::/8", "fe80::1", False),
        ("64:ff9b::/96", "64:ff9b::808:808", True),
    ],
)
def test_the_operator_lets_networks_through(network: str, host: str, allowed: bool) -> None:
    guard = Guard([network])

    assert (guard.refusal(host) is None) is allowed
    assert (Guard([ip_network(network)]).refusal(host) is None) is allowed


def test_the_refusal_names_the_address_and_its_kind() -> None:
    with pytest.raises(BlockedAddress, match=r"blocked address 169\.254\.169\.254 \(link-local\)"):
        Guard().open_socket(target("169.254.169.254"))
