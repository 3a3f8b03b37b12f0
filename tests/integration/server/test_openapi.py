"""The OpenAPI description of the server's HTTP API: every route is in it, and does what it says."""

import pytest
from flask import Flask, Response

from common.web.openapi import openapi_document
from tests.integration.server.conftest import Join, RunningServer
from tests.support.conformance import check_conformance
from tests.support.made_requests import request
from tests.support.speaking import Browser


def test_every_route_of_the_api_is_described(running: RunningServer, administrator: Browser) -> None:
    document = administrator.get("/api/openapi.json").json
    rules = {rule.rule for rule in running.server.app.url_map.iter_rules() if rule.rule.startswith("/api/")}
    assert {path.replace("{", "<").replace("}", ">") for path in document["paths"]} == rules | {"/livez", "/readyz"}
    assert document["openapi"] == "3.1.0"


def test_a_route_that_says_nothing_of_itself_is_found() -> None:
    app = Flask("an app")
    app.add_url_rule("/api/forgotten", view_func=Response)
    with pytest.raises(LookupError, match="/api/forgotten has no description"):
        openapi_document(app)


@pytest.mark.parametrize("requests_each", [5, pytest.param(200, marks=[pytest.mark.full, pytest.mark.timeout(1200)])])
def test_every_route_does_what_its_description_says(
    administrator: Browser, running: RunningServer, join: Join, requests_each: int
) -> None:
    client = join()
    for number in range(1, 6):
        client.predict(request(number).to_wire())
        client.answered(f"request-{number}")
    document = administrator.get("/api/openapi.json").json
    as_administrator = {"Cookie": administrator.cookie, "Origin": running.url}
    as_client = {"Authorization": f"Bearer {running.token()}"}
    for headers in (as_administrator, as_client, {}):
        assert check_conformance(document, running.url, headers, requests_each) == len(document["paths"])
