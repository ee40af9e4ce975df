"""Cuts a Python process and its children off from the network; local sockets still work.

Python runs this file by itself at its start when this folder stands on PYTHONPATH. An audit hook
sees every address that the socket module is asked for, whoever asks, and cannot be taken away
again. It needs no special right, and works alike on Linux, macOS and Windows. Loopback stays open.
"""

import errno
import ipaddress
import socket
import sys

_LOCAL_NAMES = {"", "localhost", "ip6-localhost", socket.gethostname().lower()}


def _is_local(host: object) -> bool:
    """Whether an address is this machine's own.

    Names other than its own are not looked up: that needs a network.
    """
    if isinstance(host, (bytes, bytearray)):
        host = host.decode("ascii", "replace")
    if host is None or str(host).lower() in _LOCAL_NAMES:
        return True
    try:
        address = ipaddress.ip_address(str(host).split("%")[0])
    except ValueError:
        return False
    return address.is_loopback or address.is_unspecified


def _cut(event: str, arguments: tuple[object, ...]) -> None:
    if event in ("socket.connect", "socket.sendto", "socket.sendmsg"):
        address = arguments[1]
        # A local socket's address is a path
        host = address[0] if isinstance(address, tuple) and address else None
    elif event in ("socket.getaddrinfo", "socket.gethostbyname", "socket.gethostbyaddr"):
        host = arguments[0]
    else:
        return
    if not _is_local(host):
        complaint = f"the network is cut off for this run, and {host!r} was asked for"
        raise OSError(errno.ENETUNREACH, complaint)


sys.addaudithook(_cut)
