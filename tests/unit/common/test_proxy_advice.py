"""What distinguishes, in one request, the ways in which a proxy is set up wrong."""

import pytest

from common.web.proxy_advice import OTHER_HOST, OTHER_SCHEME, UNTOLD, WITHOUT_PORT, is_under_a_path, proxy_advice

HOST, PORT, UPSTREAM = "hads.example", "hads.example:8443", "127.0.0.1:5000"


def environ(host: str, origin: str | None, scheme: str = "https", **headers: str) -> dict[str, object]:
    sent: dict[str, object] = {f"HTTP_{name}": value for name, value in headers.items()}
    if origin is not None:
        sent["HTTP_ORIGIN"] = origin
    return sent | {"wsgi.url_scheme": scheme, "HTTP_HOST": host, "SERVER_PROTOCOL": "HTTP/1.1"}


FORWARDED = {"X_FORWARDED_FOR": "192.0.2.7", "X_FORWARDED_PROTO": "https"}
SAME, CROSS = {"SEC_FETCH_SITE": "same-origin"}, {"SEC_FETCH_SITE": "cross-site"}


@pytest.mark.parametrize(
    ("trusted", "sent", "advice"),
    [
        (1, environ(HOST, f"https://{PORT}", **FORWARDED), WITHOUT_PORT.format(header="Host")),
        (1, environ(HOST, f"https://{PORT}", X_FORWARDED_HOST=HOST), WITHOUT_PORT.format(header="X-Forwarded-Host")),
        (0, environ(HOST, "http://hads.example:8080", "http"), WITHOUT_PORT.format(header="Host")),
        (1, environ(UPSTREAM, f"https://{PORT}", **FORWARDED), OTHER_HOST.format(header="Host")),
        (1, environ(UPSTREAM, f"https://{PORT}", **SAME), OTHER_HOST.format(header="Host")),
        (1, environ(PORT, f"https://{PORT}", "http", X_FORWARDED_FOR="192.0.2.7"), OTHER_SCHEME),
        (2, environ(PORT, f"https://{PORT}", "http", **FORWARDED), OTHER_SCHEME),
        (0, environ(PORT, f"https://{PORT}", "http", **FORWARDED), UNTOLD),
        (0, environ(HOST, f"https://{PORT}", "http"), UNTOLD),
        (0, environ(UPSTREAM, f"https://{PORT}", "http", **SAME), UNTOLD),
        (0, environ(UPSTREAM, f"https://{PORT}", "http") | {"SERVER_PROTOCOL": "HTTP/1.0"}, UNTOLD),
    ],
)
def test_a_proxy_that_makes_the_origin_foreign_is_named(trusted: int, sent: dict[str, object], advice: str) -> None:
    assert proxy_advice(sent, "Origin", trusted_proxies=trusted) == advice


@pytest.mark.parametrize(
    ("trusted", "sent"),
    [
        (0, environ(UPSTREAM, "http://evil.example", "http")),
        (1, environ(PORT, "https://evil.example", **FORWARDED, **CROSS)),
        (1, environ(HOST, f"https://{PORT}", **FORWARDED, SEC_FETCH_SITE="same-site")),  # another app's page
        (1, environ(PORT, None, **FORWARDED)),
    ],
)
def test_nothing_is_said_of_a_proxy_where_the_page_is_foreign(trusted: int, sent: dict[str, object]) -> None:
    assert proxy_advice(sent, "Origin", trusted_proxies=trusted) is None


def test_an_unknown_host_is_put_down_to_a_proxy_only_where_there_is_one() -> None:
    told = proxy_advice(environ("upstream", None, **FORWARDED), "Host", trusted_proxies=1)
    assert told == OTHER_HOST.format(header="Host")
    untold = environ("upstream", None) | {"SERVER_PROTOCOL": "HTTP/1.0"}  # nginx's usual
    assert proxy_advice(untold, "Host", trusted_proxies=0) == UNTOLD
    assert proxy_advice(environ("desk-1.lan", None, "http", **SAME), "Host", trusted_proxies=0) is None


@pytest.mark.parametrize(
    ("trusted", "prefix", "expected"),
    [(1, "/heart", True), (1, "heart", True), (0, "/heart", False), (1, "/", False), (1, "", False)],
)
def test_a_path_counts_only_if_a_trusted_proxy_cut_one_off(trusted: int, prefix: str, expected: bool) -> None:
    sent = environ(PORT, None, X_FORWARDED_PREFIX=prefix)
    assert is_under_a_path(sent, trusted_proxies=trusted) is expected
