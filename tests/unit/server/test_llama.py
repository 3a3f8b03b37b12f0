"""The writer against a real HTTP server on loopback: what passes, what is withheld, what is tried again and kept."""

import json
import re
import socket
import time
from collections.abc import Iterator

import pytest

from common.messages import CircuitStatus
from server.explanation.breaker import LONGEST_PAUSE_SECONDS
from server.explanation.endpoint import ROUTER_URL, Endpoint
from server.explanation.llama import LlamaWriter, NarrativeError, asked_but
from server.explanation.narrator import explanation_source
from tests.support.llm_faults import REFUSALS, ends_at_its_limit
from tests.support.llm_server import LanguageModel, Reply, Script, answers, says
from tests.support.narratives import GOOD_TEXT, GOOD_TEXT_FILLED, facts
from tests.support.writing import CLOSED, settings_for, writer_at

NO_PATIENT_VALUES = ("3.5", "171", "reversible defect", "left ventricular", "0.987", "0.95", "0.8")
BAD_TEXT = GOOD_TEXT.replace("lowers", "raises")
BAD_FROM_THE_START = f"The patient should rest. {GOOD_TEXT}"


@pytest.fixture
def model() -> Iterator[LanguageModel]:
    with LanguageModel(says(GOOD_TEXT)) as model:
        yield model


def write(writer: LlamaWriter, seconds: float = 10) -> str:
    return writer.write(facts(), time.monotonic() + seconds)


def failure_of(writer: LlamaWriter, seconds: float = 10) -> str:
    with pytest.raises(NarrativeError) as raised:
        write(writer, seconds)
    return str(raised.value)


def in_turn(*scripts: Script) -> Script:
    """Do each of these at one request, in turn."""
    left = iter(scripts)

    def script(reply: Reply) -> None:
        next(left)(reply)

    return script


def test_a_good_answer_is_the_models_explanation(model: LanguageModel) -> None:
    assert write(writer_at(model.url)) == GOOD_TEXT_FILLED


def test_the_model_is_told_no_value_of_the_patient(model: LanguageModel) -> None:
    write(writer_at(model.url))
    request = model.received.get(timeout=10)
    said = request.body["messages"][-1]["content"]
    assert not [value for value in NO_PATIENT_VALUES if value in said]
    assert "ST depression" in said
    assert "[[st_depression]]" in said
    assert request.path == "/v1/chat/completions"
    assert request.body["model"] == "a/model"
    assert request.body["stream"] is True
    assert (request.body["max_tokens"], request.body["temperature"]) == (400, 0.2)


def test_a_token_for_hugging_face_is_never_sent_to_another_endpoint(
    model: LanguageModel, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HF_TOKEN", "hf_of_the_environment")
    monkeypatch.setenv("HUGGINGFACE_API_TOKEN", "hf_of_the_settings")
    write(writer_at(model.url, huggingface_api_token="hf_of_the_settings"))
    request = model.received.get(timeout=10)
    assert "hf_of" not in str(request.headers) + str(request.body)


def test_the_key_of_the_endpoint_is_sent_to_it(model: LanguageModel) -> None:
    write(writer_at(model.url, llm_api_key="the-key"))
    assert model.received.get(timeout=10).headers["authorization"] == "Bearer the-key"


def test_without_a_base_url_the_router_alone_is_asked_with_its_token_and_the_provider() -> None:
    endpoint = Endpoint(settings_for("", huggingface_api_token="hf_x", llm_api_key="other"))
    assert str(endpoint.url) == f"{ROUTER_URL}/chat/completions"


def test_proxies_of_the_environment_are_not_used(model: LanguageModel, monkeypatch: pytest.MonkeyPatch) -> None:
    with socket.create_server(("127.0.0.1", 0)) as nobody:
        for name in ("HTTP_PROXY", "http_proxy", "ALL_PROXY"):
            monkeypatch.setenv(name, f"http://127.0.0.1:{nobody.getsockname()[1]}")
        assert write(writer_at(model.url)) == GOOD_TEXT_FILLED


def test_a_redirect_is_not_followed(model: LanguageModel) -> None:
    def script(reply: Reply) -> None:
        if reply.path.endswith("/elsewhere"):
            says(GOOD_TEXT)(reply)
        reply.begin(307, "text/plain", Location=model.url + "/elsewhere")

    model.script = script
    reason = "The language model was asked, but it answered with a redirect, and none is followed."
    assert failure_of(writer_at(model.url)) == reason
    assert model.received.qsize() == 1


@pytest.mark.parametrize(
    "text",
    [
        GOOD_TEXT.replace("it.", "it by 12 points."),
        GOOD_TEXT + " The patient should rest.",
        BAD_TEXT,
        GOOD_TEXT.replace("High", "Low"),
        "The risk level is High.",
        GOOD_TEXT + " The score is unusual." * 200,
    ],
)
def test_a_text_that_breaks_a_rule_is_withheld_with_the_reason(model: LanguageModel, text: str) -> None:
    model.script = says(text)
    withheld = asked_but("its text was withheld because it").removesuffix(".")
    assert failure_of(writer_at(model.url)).startswith(withheld)


def test_a_withheld_draft_is_written_again_told_of_the_broken_rule(model: LanguageModel) -> None:
    model.script = in_turn(says(BAD_FROM_THE_START), says(GOOD_TEXT))
    assert write(writer_at(model.url)) == GOOD_TEXT_FILLED
    first, second = (model.received.get(timeout=10).body["messages"] for _ in range(2))
    assert second[:-1] == first[:-1]
    assert second[-1]["content"].startswith(first[-1]["content"])
    assert "its sentence 1 says what is not among the facts" in second[-1]["content"].removeprefix(first[-1]["content"])
    assert "should rest" not in str(second)


def test_a_second_bad_draft_is_the_last(model: LanguageModel) -> None:
    model.script = says(BAD_FROM_THE_START)
    assert "its text was withheld because" in failure_of(writer_at(model.url))
    assert model.received.qsize() == 2


def test_a_draft_is_not_written_again_with_less_than_two_seconds_left(model: LanguageModel) -> None:
    model.script = says(BAD_FROM_THE_START)
    failure_of(writer_at(model.url), seconds=1.9)
    assert model.received.qsize() == 1


@pytest.mark.parametrize("status", [408, 429, 500, 502, 503])
def test_a_passing_refusal_is_tried_once_more_after_a_pause(model: LanguageModel, status: int) -> None:
    pauses: list[float] = []
    model.script = in_turn(answers(status), says(GOOD_TEXT))
    writer = writer_at(model.url, parts={"pause": pauses.append, "jitter": lambda least, most: most})
    assert write(writer) == GOOD_TEXT_FILLED
    assert pauses == [0.4]


def test_a_second_refusal_is_the_last(model: LanguageModel) -> None:
    model.script = answers(503)
    assert failure_of(writer_at(model.url, parts={"pause": lambda _: None})) == asked_but(REFUSALS[503])
    assert model.received.qsize() == 2


def retry_after(value: str) -> Script:
    def script(reply: Reply) -> None:
        reply.begin(429, "application/json", **{"Retry-After": value})

    return script


def test_the_pause_that_is_asked_for_is_kept_if_it_fits(model: LanguageModel) -> None:
    pauses: list[float] = []
    model.script = in_turn(retry_after("3"), says(GOOD_TEXT))
    assert write(writer_at(model.url, parts={"pause": pauses.append})) == GOOD_TEXT_FILLED
    assert pauses == [3]


@pytest.mark.parametrize("value", ["9", "3600", "9" * 300])
def test_a_pause_that_does_not_fit_ends_it_at_once(model: LanguageModel, value: str) -> None:
    model.script = retry_after(value)
    pauses: list[float] = []
    assert failure_of(writer_at(model.url, parts={"pause": pauses.append})) == asked_but(REFUSALS[429])
    assert not pauses
    assert model.received.qsize() == 1


@pytest.mark.parametrize("value", ["soon", "-3", "Fri, 31 Dec 1999 23:59:59 GMT"])
def test_a_pause_that_is_none_is_not_kept(model: LanguageModel, value: str) -> None:
    pauses: list[float] = []
    model.script = in_turn(retry_after(value), says(GOOD_TEXT))
    assert write(writer_at(model.url, parts={"pause": pauses.append})) == GOOD_TEXT_FILLED
    assert 0.1 <= pauses[0] <= 0.4


@pytest.mark.parametrize("status", [400, 401, 402, 403, 404])
def test_a_lasting_refusal_leaves_the_endpoint_alone_and_says_what_to_do(model: LanguageModel, status: int) -> None:
    now = [0.0]
    model.script = answers(status)
    writer = writer_at(model.url, parts={"clock": lambda: now[0]})
    reason = REFUSALS[status]
    with pytest.raises(NarrativeError, match=reason):
        writer.write(facts(), time.monotonic() + 10)
    assert writer.circuit == CircuitStatus(state="open", seconds_left=300, reason=reason)
    left_alone = rf"^The language model was not asked: it is left alone for a while, because {reason}\.$"
    with pytest.raises(NarrativeError, match=left_alone):
        writer.write(facts(), time.monotonic() + 10)
    assert model.received.qsize() == 1
    now[0] = LONGEST_PAUSE_SECONDS
    model.script = says(GOOD_TEXT)
    assert writer.write(facts(), time.monotonic() + 10) == GOOD_TEXT_FILLED
    assert writer.circuit == CLOSED


def test_a_withheld_text_is_no_failure_of_the_endpoint(model: LanguageModel) -> None:
    model.script = says(BAD_TEXT)
    writer = writer_at(model.url)
    for _ in range(6):
        assert "withheld" in failure_of(writer)


def test_a_text_that_goes_on_until_its_limit_is_no_failure_of_the_endpoint(model: LanguageModel) -> None:
    model.script = ends_at_its_limit
    writer = writer_at(model.url)
    for _ in range(6):
        assert "withheld because it did not come to an end of its own" in failure_of(writer)
    assert writer.circuit == CLOSED


def test_who_has_no_time_left_asks_nobody_and_says_so(model: LanguageModel) -> None:
    writer = writer_at(model.url)
    assert failure_of(writer, seconds=0) == "The language model was not asked: no time was left for it."
    assert model.received.empty()


def test_who_was_asked_and_may_not_ask_again_is_told_of_the_first_failure(model: LanguageModel) -> None:
    model.script = answers(503)
    writer = writer_at(model.url, parts={"pause": lambda _: None})
    for _ in range(2):
        failure_of(writer)
    assert failure_of(writer) == asked_but(REFUSALS[503])  # the fifth failure in a row
    assert model.received.qsize() == 5
    assert writer.circuit.state == "open"


def test_an_answer_with_its_end_but_without_done_is_whole(model: LanguageModel) -> None:
    def script(reply: Reply) -> None:
        reply.begin()
        reply.say(GOOD_TEXT)
        reply.data({"choices": [{"index": 0, "delta": {}, "finish_reason": "stop"}]})

    model.script = script
    assert write(writer_at(model.url)) == GOOD_TEXT_FILLED


def test_a_report_of_usage_without_a_choice_is_no_failure(model: LanguageModel) -> None:
    def script(reply: Reply) -> None:
        reply.begin()
        reply.say(GOOD_TEXT)
        reply.data({"choices": [{"index": 0, "delta": {"content": ""}, "finish_reason": "stop"}]})
        reply.data({"choices": [], "usage": {"completion_tokens": 60, "prompt_tokens": 300, "total_tokens": 360}})
        reply.raw("data: [DONE]\n\n")

    model.script = script
    assert write(writer_at(model.url)) == GOOD_TEXT_FILLED


@pytest.mark.parametrize(
    ("changes", "model_name", "reason"),
    [
        ({"llm_model": "off", "huggingface_api_token": "hf_x"}, None, "LLM_MODEL is off"),
        ({"llm_model": "OFF"}, None, "LLM_MODEL is off"),
        ({}, None, "HUGGINGFACE_API_TOKEN is not set"),
        ({"huggingface_api_token": "hf_x"}, "a/model", "HUGGINGFACE_API_TOKEN is set."),
        ({"llm_base_url": "http://127.0.0.1:9/v1"}, "a/model", "LLM_BASE_URL is set."),
    ],
)
def test_who_explains_follows_from_the_settings(
    changes: dict[str, object], model_name: str | None, reason: str
) -> None:
    source = explanation_source(settings_for("", **changes))
    assert (source.writer.model if source.writer else None) == model_name
    assert source.reason.startswith(reason)


def whole(content: str, finish: str = "stop", **more: str) -> Script:
    """A model that answers with one JSON object instead of a stream."""

    def script(reply: Reply) -> None:
        reply.begin(200, "application/json")
        message = {"role": "assistant", "content": content, **more}
        reply.raw(json.dumps({"choices": [{"index": 0, "message": message, "finish_reason": finish}]}))

    return script


def in_another_way(reply: Reply) -> None:
    """Stream without the spaces that most write, and with a character that some take for the end of a line."""
    delta = {"content": GOOD_TEXT.replace(" ", "\u2028", 1)}
    event = {"choices": [{"index": 0, "delta": delta, "finish_reason": "stop"}]}
    reply.begin()
    reply.raw(f"data:{json.dumps(event, ensure_ascii=False)}\r\n\r\ndata:[DONE]\r\n\r\n")


def page(reply: Reply) -> None:
    reply.begin(200, "text/html")
    reply.raw("\n<!doctype html><title>Welcome</title>")


def only_thinks(reply: Reply) -> None:
    """What a model that thinks first sends when its output limit comes first."""
    reply.begin()
    thinking = {"role": "assistant", "content": "", "reasoning": "thinking"}
    reply.data({"choices": [{"index": 0, "delta": thinking, "finish_reason": None}]})
    reply.data({"choices": [{"index": 0, "delta": {"content": ""}, "finish_reason": "length"}]})
    reply.raw("data: [DONE]\n\n")


@pytest.mark.parametrize(
    "script",
    [
        whole(GOOD_TEXT),
        in_another_way,
        whole(GOOD_TEXT, "eos_token", reasoning_content="thinking"),
        whole(f"<think>The age raises?</think>\n{GOOD_TEXT}"),
        says(f"The age raises?</think> {GOOD_TEXT}"),
    ],
)
def test_an_answer_in_one_piece_or_after_thinking_is_understood(model: LanguageModel, script: Script) -> None:
    model.script = script
    assert write(writer_at(model.url)) == GOOD_TEXT_FILLED


@pytest.mark.parametrize(
    ("script", "reason", "state"),
    [
        (only_thinks, "it was still thinking at its output limit; raise LLM_MAX_TOKENS in .env", "closed"),
        (says("<think>The age"), "it thought, but wrote no text", "closed"),
        (whole("", reasoning="thinking"), "it thought, but wrote no text", "closed"),
        (whole(""), "it wrote no text", "closed"),
        (page, "it answered with a web page (HTML); check LLM_BASE_URL in .env", "open"),
    ],
)
def test_an_answer_that_is_no_text_is_named_for_what_it_is(
    model: LanguageModel, script: Script, reason: str, state: str
) -> None:
    model.script = script
    writer = writer_at(model.url)
    assert failure_of(writer) == asked_but(reason)
    assert writer.circuit.state == state


def refuses(text: str, status: int = 400) -> Script:
    def script(reply: Reply) -> None:
        reply.begin(status, "application/json")
        reply.raw(json.dumps({"error": text}))

    return script


def test_a_token_without_the_permission_of_the_router_is_told_which(model: LanguageModel) -> None:
    model.script = refuses(
        "This authentication method does not have sufficient permissions to call Inference Providers", 403
    )
    assert "Make calls to Inference Providers" in failure_of(writer_at(model.url))


def test_an_endpoint_that_knows_the_newer_name_of_the_limit_is_asked_by_it(model: LanguageModel) -> None:
    model.script = in_turn(
        refuses("Use 'max_completion_tokens' instead of 'max_tokens'."), says(GOOD_TEXT), says(GOOD_TEXT)
    )
    writer = writer_at(model.url, llm_max_tokens=900)
    assert write(writer) == write(writer) == GOOD_TEXT_FILLED
    bodies = [model.received.get(timeout=10).body for _ in range(3)]
    assert [body.get("max_tokens") for body in bodies] == [900, None, None]
    assert [body.get("max_completion_tokens") for body in bodies] == [None, 900, 900]


def decodes(reply: Reply) -> None:
    """A model that decodes under the regular expression that it is given."""
    regex = reply.body["structured_outputs"]["regex"]
    (says(UNDER_GRAMMAR) if re.fullmatch(regex, UNDER_GRAMMAR) else refuses("no match", 500))(reply)


UNDER_GRAMMAR = (
    "The risk level is High: the anomaly score ([[anomaly_score]]) is at or above the High threshold of [[threshold]]. "
    "The ST depression ([[st_depression]]) raises the score most. [[st_depression_meaning]] "
    "The thallium scan ([[thallium_scan]]) also raises the score. [[thallium_scan_meaning]] "
    "The maximum heart rate ([[max_heart_rate]]) lowers the score. [[max_heart_rate_meaning]]"
)


@pytest.mark.parametrize("mode", ["automatic", "on"])
def test_an_endpoint_that_decodes_under_a_grammar_is_given_it(model: LanguageModel, mode: str) -> None:
    model.script = decodes
    writer = writer_at(model.url, llm_constrained_decoding=mode)
    assert "(reversible defect) also raises the score. A reversible defect is" in write(writer) + write(writer)
    body = [model.received.get(timeout=10).body for _ in range(2)][1]
    assert body["grammar"].startswith("root ::= ")
    assert body["guided_regex"] == body["structured_outputs"]["regex"]


@pytest.mark.parametrize(
    "first", [refuses("grammar: unknown parameter"), refuses("guided_regex is not allowed", 422), says(GOOD_TEXT)]
)
def test_an_endpoint_that_refuses_or_ignores_the_grammar_is_not_given_it_again(
    model: LanguageModel, first: Script
) -> None:
    ignores = [first, *[says(GOOD_TEXT)] * 4]
    model.script = in_turn(*ignores)
    writer = writer_at(model.url, llm_constrained_decoding="automatic")
    for _ in range(3):
        assert write(writer) == GOOD_TEXT_FILLED
    offered = [
        set(model.received.get(timeout=10).body) & {"grammar", "response_format"} for _ in range(model.received.qsize())
    ]
    assert offered[0] == {"grammar"}
    assert offered[1] == {"response_format"}
    assert offered[-1] == set()
    assert writer.circuit == CLOSED


def test_who_insists_on_the_grammar_is_told_that_the_endpoint_takes_none(model: LanguageModel) -> None:
    model.script = refuses("unknown: grammar, response_format")
    assert "LLM_CONSTRAINED_DECODING" in failure_of(writer_at(model.url, llm_constrained_decoding="on"))
