"""What a client app of version 3 is told when it connects."""

import pytest

from tests.integration.server.conftest import RunningServer
from tests.support.version_3.old_client import sentence_of_refusal


@pytest.mark.parametrize("is_known", [True, False])
def test_a_client_app_of_version_3_is_told_to_update_in_its_own_words(running: RunningServer, is_known: bool) -> None:
    token = running.token() if is_known else "a token of nobody"
    told = "The client app speaks protocol version 3, the server 4. Update the older one."
    assert sentence_of_refusal(running.url, token) == told
