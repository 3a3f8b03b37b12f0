"""Every way an endpoint can fail, as scripts of the language model's server, and what is then told."""

from collections.abc import Mapping
from typing import Final

from tests.support.llm_server import DONE, Reply, Script, answers, event, says, sends
from tests.support.narratives import GOOD_TEXT

LATE: Final = "it did not answer in time"
CUT: Final = "its answer was cut off"
BROKE: Final = "the connection to it broke (RemoteProtocolError)"
NOT_UNDERSTOOD: Final = "its answer was not understood"
ITS_OWN: Final = "it reported an error of its own"
UNFINISHED: Final = "it stopped before the end of its text; raise LLM_MAX_TOKENS in .env"

cuts = sends(event(GOOD_TEXT))
stalls_in_mid_stream = sends(event("The risk level is High. The ST"), drips="")


def stalls(reply: Reply) -> None:
    reply.stall()


def drips_headers(reply: Reply) -> None:
    """Every read is short, and the headers never end."""
    reply.raw("HTTP/1.0 200 OK\r\nX-Long: ")
    while not reply.stall(0.05):
        reply.raw("x")


FAULTS: Final[Mapping[str, tuple[Script, str]]] = {
    "no answer": (stalls, LATE),
    "stall in mid-stream": (stalls_in_mid_stream, LATE),
    "stall after an error": (sends('{"error": ', status=500, drips="", headers={"Content-Length": "5000"}), LATE),
    "slow drip of headers": (drips_headers, LATE),
    "slow drip of words": (sends(drips=event(" and")), LATE),
    "cut": (cuts, CUT),
    "hung up": (lambda _: None, BROKE),
    "no finish reason": (sends(event(GOOD_TEXT), DONE), CUT),
    "compressed": (sends(event(GOOD_TEXT), headers={"Content-Encoding": "gzip"}), CUT),
    "ended at its limit": (sends(event(GOOD_TEXT), event(finish="length"), DONE), UNFINISHED),
    "thinks and says nothing": (says("<think>The age"), "it wrote no text"),
    "redirect": (sends(status=307, headers={"Location": "http://127.0.0.1:9/"}), "it answered with a redirect"),
    "2 MB in one line": (sends("data: " + "x" * 2_000_000), "its answer was too long"),
    # shared/field/router_403.txt
    "no permission": (
        answers(403, "This authentication method does not have sufficient permissions to call Inference Providers"),
        'the token lacks the permission "Make calls to Inference Providers"; see huggingface.co/settings/tokens',
    ),
    "refused": (answers(400), "the request was refused; check LLM_MODEL in .env"),
    "wrong key": (answers(401), "the key was refused; check LLM_API_KEY in .env"),
    "unpaid": (answers(402), "it asks for payment; check its account, or set another LLM_BASE_URL in .env"),
    "forbidden": (answers(403), "the key may not use this model; check LLM_API_KEY in .env, and whether the model's"),
    "not found": (answers(404), "nothing was found there; check LLM_BASE_URL and LLM_MODEL in .env"),
    "not processed": (answers(422), "it answered with HTTP status 422"),
    "too many": (answers(429), "it is getting too many requests"),
    "a page": (
        sends("\n<!doctype html><title>Welcome</title>"),
        "it answered with a web page (HTML); check LLM_BASE_URL in .env",
    ),
    "its own error": (sends('data: {"error": {"message": "out of memory"}}\n\n'), ITS_OWN),
    "broken JSON": (sends("data: {broken\n\n"), NOT_UNDERSTOOD),
    "no object": (sends("data: 7\n\n"), NOT_UNDERSTOOD),
    "an empty choice": (sends('data: {"choices": [{"delta": null}]}\n\n'), CUT),
    "a number for a text": (sends('data: {"choices": [{"delta": {"content": 7}}]}\n\n'), NOT_UNDERSTOOD),
    "deep": (sends(f"data: {'[' * 200_000}\n\n"), NOT_UNDERSTOOD),
    "9,000 digits": (sends(f"data: {'9' * 9000}\n\n"), NOT_UNDERSTOOD),
}
