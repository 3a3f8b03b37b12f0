"""Host names and addresses as settings, URLs and ``Host`` headers hold them; standard library only."""

import ipaddress
import re


def reachable(host: str) -> str:
    """Return the address at which this machine reaches what listens on ``host``."""
    return {"0.0.0.0": "127.0.0.1", "::": "::1"}.get(host, host)  # noqa: S104 - compared, not bound


def in_url(host: str) -> str:
    """Return the reachable address as a URL holds it, IPv6 in brackets."""
    return f"[{reachable(host)}]" if ":" in host else reachable(host)


def reachable_url(url: str) -> str:
    """Return a URL that leads to this machine where it named all addresses, as Docker Compose writes it."""
    return url.replace("//0.0.0.0", "//127.0.0.1").replace("//[::]", "//[::1]")


def in_host_header(name: str) -> str:
    """Return a host name or address as a ``Host`` header holds it, without the port; a dot in front may stay.

    Raises
    ------
    ValueError
        If it is neither.
    """
    try:
        address = ipaddress.ip_address(name.strip("[]"))
    except ValueError:
        found = re.fullmatch(r"(\.?)([\w-]+(?:\.[\w-]+)*)\.?(?::\d+)?", name)
        if not found:
            raise ValueError("must contain only host names, without http://, a path or *") from None
        # Browsers send the ASCII form of a name.
        return found[1] + found[2].encode("idna").decode().lower()
    return f"[{address}]" if address.version == 6 else str(address)  # noqa: PLR2004 - IPv6


def is_private(address: str) -> bool:
    """Tell whether what is sent to an IP address stays on this machine or in a private network.

    Raises
    ------
    ValueError
        If it is a name and not an address.
    """
    parsed = ipaddress.ip_address(address)
    mapped = parsed.ipv4_mapped if isinstance(parsed, ipaddress.IPv6Address) else None
    return (mapped or parsed).is_private
