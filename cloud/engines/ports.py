"""Free ports on the loopback interface."""

from __future__ import annotations

import random
import socket
from pathlib import Path

LOOPBACK = "127.0.0.1"
LOWEST = 15_000
EPHEMERAL_RANGE = Path("/proc/sys/net/ipv4/ip_local_port_range")
USUAL_EPHEMERAL_START = 32_768  # Linux's default; macOS and the BSDs start at 49,152
ATTEMPTS = 200


def free_port(chooser: random.Random | None = None) -> int:
    """A TCP port on which nobody listens, below the range from which the kernel takes clients' ports.

    Below that range on purpose: an engine that is down must find its port free when it comes back, and a client
    that knocks meanwhile must never be given the port it knocks at (a socket then connects to itself).
    """
    chooser = chooser or random.SystemRandom()
    highest = max(LOWEST + 1000, _ephemeral_start())
    for _ in range(ATTEMPTS):
        port = chooser.randrange(LOWEST, highest)
        if can_listen(port):
            return port
    raise OSError(f"no free port found between {LOWEST} and {highest}")


def can_listen(port: int, host: str = LOOPBACK) -> bool:
    """Whether a server could listen on this port now."""
    with socket.socket(socket.AF_INET, socket.SOCK_STREAM) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)  # as servers do: TIME_WAIT is no obstacle
        try:
            probe.bind((host, port))
            probe.listen(1)
        except OSError:
            return False
    return True


def answers(port: int, host: str = LOOPBACK, timeout: float = 1.0) -> bool:
    """Whether something accepts connections on this port."""
    try:
        with socket.create_connection((host, port), timeout):
            return True
    except OSError:
        return False


def _ephemeral_start() -> int:
    try:
        return int(EPHEMERAL_RANGE.read_text().split()[0])
    except (OSError, ValueError, IndexError):
        return USUAL_EPHEMERAL_START
