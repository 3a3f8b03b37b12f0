"""What a client app of version 3 is told when it connects."""

from tests.integration.server.conftest import RunningServer
from tests.support.version_3.old_client import sentence_of_refusal


def test_a_client_app_of_version_3_is_taken_in_or_told_why_not(running: RunningServer) -> None:
    assert sentence_of_refusal(running.url, running.token()) is None
    told = sentence_of_refusal(running.url, "a token of nobody")
    assert told == "The client app's token is not known at the server. Check CLIENT_n_TOKEN on both sides."
