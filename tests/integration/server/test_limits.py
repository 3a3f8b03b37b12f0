"""How much one session and one address may ask for over HTTP; for connections see tests/integration/web."""

import pytest

from tests.integration.server.conftest import StartServer
from tests.support.speaking import Browser


def test_one_that_asks_too_often_over_http_is_told_when_to_come_back(start_server: StartServer) -> None:
    server = start_server(requests_per_minute=20)
    one, other = server.signed_in(), server.signed_in()
    answers = [one.get("/api/status") for _ in range(60)]  # more than two windows let in
    refused = [answer for answer in answers if answer.status == 429]
    assert refused
    assert refused[0].error["code"] == "rate_limited"
    assert 1 <= int(refused[0].headers["Retry-After"]) <= 60
    assert other.get("/api/status").status == 200  # the address is theirs together, the limit was not
    assert one.get("/livez").status == one.get("/readyz").status == 200


def test_a_header_that_is_made_up_gives_a_session_no_other_count(start_server: StartServer) -> None:
    server = start_server(requests_per_minute=20)
    browser = server.signed_in()
    answers = [browser.get("/api/status", Authorization=f"Bearer made-up-{number}") for number in range(60)]
    assert answers[-1].status == 429


@pytest.mark.parametrize("path", ["/api/status", "/no-such-page", "/ui/base.css"])
def test_an_address_has_a_limit_whatever_it_asks_and_shows_and_the_way_in_stays_open(
    start_server: StartServer, path: str
) -> None:
    """Behind one proxy the flood of a stranger comes from the clinic's own address."""
    server = start_server(requests_per_minute=20, address_requests_per_minute=30)
    statuses = [Browser(server.url).get(path, Cookie=f"hads_server=made-up-{number}").status for number in range(90)]
    assert statuses[0] != statuses[-1] == 429
    colleague = server.signed_in()
    if path != "/ui/base.css":
        assert colleague.get("/ui/sign_in.js").status == 200
