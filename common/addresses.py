"""Addresses: what is one, and what listens and is ready there. Standard library only."""

import errno
import http.client
import ipaddress
import socket
import time
import urllib.request

from config.hosts import in_url, reachable


def is_address(text: str) -> bool:
    """Tell whether a text is an IP address, without a zone, which may be of any length."""
    try:
        ipaddress.ip_address(text)
    except ValueError:
        return False
    return "%" not in text


def is_free(host: str, port: int) -> bool:
    """Tell whether nobody listens on a port; raises ``OSError`` when this machine cannot listen on that address."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    # Bound first: at an address of another machine, one that listens there would answer.
    try:
        socket.create_server((host, port), family=family).close()
    except OSError as error:
        if error.errno in {errno.EADDRINUSE, errno.EACCES}:
            return False
        raise
    # Asked by a connection too: on a Mac a port bound on all addresses can be bound again on one of them.
    with socket.socket(family) as client:
        client.settimeout(1)
        return client.connect_ex((reachable(host), port)) != 0


def becomes_free(host: str, port: int, seconds: float = 3) -> bool:
    """Wait, if need be, until a port is free: a process that ends loses its name before its sockets."""
    deadline = time.monotonic() + seconds
    while not (free := is_free(host, port)) and time.monotonic() < deadline:
        time.sleep(0.05)
    return free


def is_ready(host: str, port: int) -> bool:
    """Tell whether the app that listens there says that it can do its job."""
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    address = f"http://{in_url(host)}:{port}/readyz"
    request = urllib.request.Request(address, headers={"Host": f"127.0.0.1:{port}"})
    try:
        with opener.open(request, timeout=3) as response:
            return bool(response.status == http.client.OK)
    except (OSError, http.client.HTTPException):
        return False
