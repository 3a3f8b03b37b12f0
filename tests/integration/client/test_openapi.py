"""The OpenAPI description of a client app's HTTP API: every route is in it, and does what it says."""

from collections.abc import Callable

from client.outbox import Outbox
from tests.integration.client.conftest import MakeSettings
from tests.support.conformance import check_conformance
from tests.support.desk import Desk
from tests.support.serving import served
from tests.support.speaking import Browser


def test_every_route_does_what_its_description_says(
    make_settings: MakeSettings, outbox: Outbox, enter: Callable[..., None]
) -> None:
    desk = Desk(make_settings(), outbox)
    enter(1, 2, 3)
    with served(desk.client.app) as url:
        clinician = Browser(url)
        assert clinician.sign_in(desk.settings.secrets.clinician_token).status == 204
        document = clinician.get("/api/openapi.json").json
        rules = {rule.rule for rule in desk.client.app.url_map.iter_rules() if rule.rule.startswith("/api/")}
        assert set(document["paths"]) == rules | {"/livez", "/readyz"}
        desk.relay.start()  # without which the app is not ready
        for headers in ({"Cookie": clinician.cookie}, {}):
            assert check_conformance(document, url, headers, 5) == len(document["paths"])
        desk.relay.stop()
