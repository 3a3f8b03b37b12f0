"""Every way an endpoint can fail, as scripts of the language model's server, and what is then told."""

from collections.abc import Mapping
from typing import Final

from tests.support.llm_server import Reply, Script, answers, says
from tests.support.narratives import GOOD_SENTENCES, GOOD_TEXT

LATE: Final = "it did not answer in time"
CUT: Final = "its answer was cut off"
NOT_UNDERSTOOD: Final = "its answer was not understood"


def stalls(reply: Reply) -> None:
    reply.stall()


def stalls_before_the_first_piece(reply: Reply) -> None:
    reply.begin()
    reply.stall()


def stalls_in_mid_stream(reply: Reply) -> None:
    reply.begin()
    reply.say(GOOD_SENTENCES[0] + " The ST")
    reply.stall()


def stalls_after_an_error(reply: Reply) -> None:
    """Begin the body of a refusal, and never end it."""
    reply.begin(500, "application/json", **{"Content-Length": "5000"})
    reply.raw('{"error": ')
    reply.stall()


def drips_headers(reply: Reply) -> None:
    """Every read is short, and the headers never end."""
    reply.raw("HTTP/1.0 200 OK\r\nX-Long: ")
    while not reply.stall(0.1):
        reply.raw("x")


def drips_comments(reply: Reply) -> None:
    """Every read is short, and no piece of the answer ever comes."""
    reply.begin()
    while not reply.stall(0.1):
        reply.raw(": still there\n\n")


def drips_words(reply: Reply) -> None:
    reply.begin()
    while not reply.stall(0.1):
        reply.say(" and")


def cuts(reply: Reply) -> None:
    reply.begin()
    reply.say(GOOD_TEXT)


def cuts_within_a_chunk(reply: Reply) -> None:
    """Announce more than is sent, so that the transport itself notices."""
    reply.begin(200, "text/event-stream", **{"Content-Length": "100000"})
    reply.say(GOOD_TEXT)


def hangs_up(reply: Reply) -> None:
    """Say nothing at all."""


def ends_at_its_limit(reply: Reply) -> None:
    reply.begin()
    reply.say(GOOD_TEXT)
    reply.end("length")


def forgets_the_reason(reply: Reply) -> None:
    reply.begin()
    reply.say(GOOD_TEXT)
    reply.raw("data: [DONE]\n\n")


def redirects(reply: Reply) -> None:
    reply.begin(307, "text/plain", Location="http://127.0.0.1:9/elsewhere")


def compresses(reply: Reply) -> None:
    reply.begin(200, "text/event-stream", **{"Content-Encoding": "gzip"})
    reply.say(GOOD_TEXT)


def floods_with_one_line(reply: Reply) -> None:
    reply.begin()
    reply.raw("data: " + "x" * 2_000_000)


def sends(garbage: str) -> Script:
    def script(reply: Reply) -> None:
        reply.begin()
        reply.raw(garbage)

    return script


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
    502: "it answered with HTTP status 502",
    503: "it answered with HTTP status 503",
    504: "it answered with HTTP status 504",
}

GARBAGE: Final[Mapping[str, str]] = {
    "data: {broken\n\n": NOT_UNDERSTOOD,
    "data: 7\n\n": NOT_UNDERSTOOD,
    "data: null\n\n": NOT_UNDERSTOOD,
    "data: []\n\n": NOT_UNDERSTOOD,
    'data: {"choices": null}\n\n': NOT_UNDERSTOOD,
    'data: {"choices": [null]}\n\n': NOT_UNDERSTOOD,
    'data: {"choices": [{}]}\n\n': NOT_UNDERSTOOD,
    'data: {"choices": [{"delta": null}]}\n\n': NOT_UNDERSTOOD,
    'data: {"choices": [{"delta": {"content": 7}}]}\n\n': NOT_UNDERSTOOD,
    'data: {"other": 1}\n\n': NOT_UNDERSTOOD,
    f"data: {'[' * 200_000}\n\n": NOT_UNDERSTOOD,
    f"data: {'9' * 9000}\n\n": NOT_UNDERSTOOD,
    'data: {"error": "out of memory"}\n\n': "it reported an error of its own",
    'data: {"error": {"message": "out of memory"}}\n\n': "it reported an error of its own",
    "<html>Welcome</html>": "it answered with a web page (HTML); check LLM_BASE_URL in .env",
    "\x00\xff\n\n": CUT,
}

FAULTS: Final[Mapping[str, tuple[Script, str]]] = {
    "no answer": (stalls, LATE),
    "stall before the first piece": (stalls_before_the_first_piece, LATE),
    "stall in mid-stream": (stalls_in_mid_stream, LATE),
    "stall after an error": (stalls_after_an_error, LATE),
    "slow drip of headers": (drips_headers, LATE),
    "slow drip of comments": (drips_comments, LATE),
    "slow drip of words": (drips_words, LATE),
    "cut": (cuts, CUT),
    "cut within a chunk": (cuts_within_a_chunk, "the connection to it broke (RemoteProtocolError)"),
    "hung up": (hangs_up, "the connection to it broke (RemoteProtocolError)"),
    "ended at its limit": (ends_at_its_limit, "its text was withheld because it did not come to an end of its own"),
    "no finish reason": (forgets_the_reason, CUT),
    "redirect": (redirects, "it answered with a redirect, and none is followed"),
    "compressed": (compresses, "its answer was compressed, which had not been asked for"),
    "1 MB of text": (says("The score is unusual. " * 50_000), "its answer was too long"),
    "1 MB in one line": (floods_with_one_line, "its answer was too long"),
    **{f"HTTP status {status}": (answers(status), reason) for status, reason in REFUSALS.items()},
    **{f"garbage: {garbage[:80]!r}": (sends(garbage), reason) for garbage, reason in GARBAGE.items()},
}
