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
TOO_LONG: Final = "its answer was too long"
PAGE: Final = "it answered with a web page (HTML); check LLM_BASE_URL in .env"
NO_TEXT: Final = "it thought, but wrote no text"
STILL_THINKING: Final = "it was still thinking at its output limit; raise LLM_MAX_TOKENS in .env"

cuts = sends(event(GOOD_TEXT))
stalls_in_mid_stream = sends(event("The risk level is High. The ST"), drips="")
floods_with_one_line = sends("data: " + "x" * 2_000_000)


def stalls(reply: Reply) -> None:
    reply.stall()


def drips_headers(reply: Reply) -> None:
    """Every read is short, and the headers never end."""
    reply.raw("HTTP/1.0 200 OK\r\nX-Long: ")
    while not reply.stall(0.05):
        reply.raw("x")


REFUSALS: Final[Mapping[int, str]] = {
    400: "the request was refused; check LLM_MODEL in .env",
    401: "the key was refused; check LLM_API_KEY in .env",
    402: "it asks for payment; see to its account, or set another LLM_BASE_URL in .env",
    403: "the key may not use this model; check LLM_API_KEY in .env, and whether the model's own page gives access",
    404: "nothing was found there; check LLM_BASE_URL and LLM_MODEL in .env",
    408: "it had waited too long for the request",
    422: "it answered with HTTP status 422",
    429: "it is asked too often at the moment",
    500: "it answered with HTTP status 500",
    503: "it answered with HTTP status 503",
}

GARBAGE: Final[Mapping[str, str]] = {
    "data: {broken\n\n": NOT_UNDERSTOOD,
    "data: 7\n\n": NOT_UNDERSTOOD,
    "data: null\n\n": NOT_UNDERSTOOD,
    'data: {"choices": null}\n\n': NOT_UNDERSTOOD,
    'data: {"choices": [null]}\n\n': NOT_UNDERSTOOD,
    'data: {"choices": [{"delta": null}]}\n\n': NOT_UNDERSTOOD,
    'data: {"choices": [{"delta": {"content": 7}}]}\n\n': NOT_UNDERSTOOD,
    f"data: {'[' * 200_000}\n\n": NOT_UNDERSTOOD,
    f"data: {'9' * 9000}\n\n": NOT_UNDERSTOOD,
    'data: {"error": "out of memory"}\n\n': ITS_OWN,
    'data: {"error": {"message": "out of memory"}}\n\n': ITS_OWN,
    "\n<!doctype html><title>Welcome</title>": PAGE,
    "\x00\xff\n\n": CUT,
}

FAULTS: Final[Mapping[str, tuple[Script, str]]] = {
    "no answer": (stalls, LATE),
    "stall before the first piece": (sends(drips=""), LATE),
    "stall in mid-stream": (stalls_in_mid_stream, LATE),
    "stall after an error": (sends('{"error": ', status=500, drips="", headers={"Content-Length": "5000"}), LATE),
    "slow drip of headers": (drips_headers, LATE),
    "slow drip of comments": (sends(drips=": still there\n\n"), LATE),
    "slow drip of words": (sends(drips=event(" and")), LATE),
    "cut": (cuts, CUT),
    "cut within a chunk": (sends(event(GOOD_TEXT), headers={"Content-Length": "100000"}), BROKE),
    "hung up": (lambda _: None, BROKE),
    "no finish reason": (sends(event(GOOD_TEXT), DONE), CUT),
    "ended at its limit": (
        sends(event(GOOD_TEXT), event(finish="length"), DONE),
        "its text was withheld because it did not come to an end of its own",
    ),
    # shared/field/sse_reasoning.txt: what a model that thinks first sends when its output limit comes first
    "only thinks": (sends(event(reasoning="thinking"), event(finish="length"), DONE), STILL_THINKING),
    "thinks and says nothing": (says("<think>The age"), NO_TEXT),
    "says nothing": (says(""), "it wrote no text"),
    "redirect": (
        sends(status=307, headers={"Location": "http://127.0.0.1:9/elsewhere"}),
        "it answered with a redirect, and none is followed",
    ),
    "compressed": (
        sends(event(GOOD_TEXT), headers={"Content-Encoding": "gzip"}),
        CUT,
    ),
    "1 MB of text": (says("The score is unusual. " * 50_000), TOO_LONG),
    "1 MB in one line": (floods_with_one_line, TOO_LONG),
    # shared/field/router_403.txt
    "no permission": (
        answers(403, "This authentication method does not have sufficient permissions to call Inference Providers"),
        'the token lacks the permission "Make calls to Inference Providers"; see huggingface.co/settings/tokens',
    ),
    **{f"HTTP status {status}": (answers(status), reason) for status, reason in REFUSALS.items()},
    **{f"garbage: {garbage[:80]!r}": (sends(garbage), reason) for garbage, reason in GARBAGE.items()},
}
