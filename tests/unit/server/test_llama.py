"""The writer against a real HTTP server on loopback: what passes, what is withheld, and every way it can fail."""

import socket
import time
from collections.abc import Iterator
from queue import Queue

import pytest

from config.messages import Explanation
from config.settings import ServerSettings
from server.narrative.llama import LlamaWriter, NarrativeError
from server.narrative.narrator import explanation_source
from tests.unit.server.llm_server import LanguageModel, Reply, Script, answers, says
from tests.unit.server.narratives import GOOD_SENTENCES, GOOD_TEXT, GOOD_TEXT_FILLED, facts

NO_PATIENT_VALUES = ("3.5", "171", "reversible defect", "left ventricular", "0.987", "0.95", "0.8")


@pytest.fixture
def model() -> Iterator[LanguageModel]:
    with LanguageModel(says(GOOD_TEXT)) as model:
        yield model


def settings_for(url: str, **changes: object) -> ServerSettings:
    usual: dict[str, object] = {
        "llm_base_url": url,
        "llm_model": "a/model",
        "llm_timeout_seconds": 1,
        "llm_api_key": None,
        "huggingface_api_token": None,
    }
    return ServerSettings.model_validate(usual | changes)


def write(url: str, **changes: object) -> tuple[Explanation, list[str]]:
    released: list[str] = []
    explanation = LlamaWriter(settings_for(url, **changes)).write(facts(), release=released.append)
    return explanation, released


def failure_of(url: str, **changes: object) -> str:
    with pytest.raises(NarrativeError) as raised:
        write(url, **changes)
    return str(raised.value)


def test_a_good_answer_is_the_models_explanation(model: LanguageModel) -> None:
    explanation, released = write(model.url)
    assert explanation == Explanation(text=GOOD_TEXT_FILLED, source="llm", model="a/model")
    assert " ".join(released) == GOOD_TEXT_FILLED
    assert len(released) == len(GOOD_SENTENCES)


def test_a_sentence_is_released_before_the_next_one_is_finished(model: LanguageModel) -> None:
    released: list[str] = []
    held_at: list[int] = []
    first_released: Queue[int] = Queue()

    def script(reply: Reply) -> None:
        reply.begin()
        reply.say(GOOD_SENTENCES[0] + " The ST")
        # The rest is only sent once the first sentence was released.
        held_at.append(first_released.get(timeout=10))
        reply.say(" " + GOOD_TEXT.partition(". The ST ")[2])
        reply.end()

    def release(sentence: str) -> None:
        released.append(sentence)
        first_released.put(len(released))

    model.script = script
    LlamaWriter(settings_for(model.url, llm_timeout_seconds=20)).write(facts(), release=release)
    assert held_at == [1]
    assert len(released) == len(GOOD_SENTENCES)


def test_the_model_is_told_no_value_of_the_patient(model: LanguageModel) -> None:
    write(model.url)
    request = model.received.get(timeout=10)
    said = request.body["messages"][-1]["content"]
    assert not [value for value in NO_PATIENT_VALUES if value in said]
    assert "ST depression [[st_depression]]: raises" in said
    assert "Maximum heart rate [[max_heart_rate]]: lowers" in said
    assert request.path == "/v1/chat/completions"
    assert request.body["model"] == "a/model"
    assert request.body["stream"] is True


def test_a_token_for_hugging_face_is_never_sent_to_another_endpoint(
    model: LanguageModel, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HF_TOKEN", "hf_of_the_environment")
    monkeypatch.setenv("HUGGINGFACE_API_TOKEN", "hf_of_the_settings")
    write(model.url, huggingface_api_token="hf_of_the_settings")
    request = model.received.get(timeout=10)
    assert "hf_of" not in str(request.headers) + str(request.body)


def test_the_key_of_the_endpoint_is_sent_to_it(model: LanguageModel) -> None:
    write(model.url, llm_api_key="the-key")
    assert model.received.get(timeout=10).headers["authorization"] == "Bearer the-key"


def test_proxies_of_the_environment_are_not_used(model: LanguageModel, monkeypatch: pytest.MonkeyPatch) -> None:
    with socket.create_server(("127.0.0.1", 0)) as nobody:
        monkeypatch.setenv("HTTP_PROXY", f"http://127.0.0.1:{nobody.getsockname()[1]}")
        monkeypatch.setenv("http_proxy", f"http://127.0.0.1:{nobody.getsockname()[1]}")
        assert write(model.url)[0].source == "llm"


@pytest.mark.parametrize(
    ("text", "because"),
    [
        (GOOD_TEXT.replace("it.", "it by 12 points."), "withheld because it states a number of its own"),
        (GOOD_TEXT + " The patient should rest.", "withheld because it goes beyond describing"),
        (GOOD_TEXT.replace("lowers", "raises"), "withheld because it gives a factor the wrong direction"),
        (GOOD_TEXT.replace("High", "Low"), "withheld because it names another risk level"),
        ("The risk level is High.", "withheld because it is too short"),
        (GOOD_TEXT + " The arteries are full.", "withheld because it uses a word outside the allowed ones"),
        ("", "withheld because it is too short"),
        (GOOD_TEXT + " The score is unusual." * 200, "withheld because it is too short or too long"),
    ],
)
def test_a_text_that_breaks_a_rule_is_withheld_with_the_reason(model: LanguageModel, text: str, because: str) -> None:
    model.script = says(text)
    assert because in failure_of(model.url)


def test_no_sentence_after_a_bad_one_is_released(model: LanguageModel) -> None:
    released: list[str] = []
    model.script = says(f"{GOOD_SENTENCES[0]} The value is 7. {GOOD_SENTENCES[2]}")
    with pytest.raises(NarrativeError):
        LlamaWriter(settings_for(model.url)).write(facts(), release=released.append)
    assert len(released) == 1


@pytest.mark.parametrize(
    ("status", "because"),
    [
        (401, "the token was refused"),
        (402, "no credit"),
        (403, "may not use this model"),
        (404, "was not found"),
        (422, "HTTP status 422"),
        (429, "asked too often"),
        (500, "HTTP status 500"),
        (503, "HTTP status 503"),
        (302, "could not be reached (TooManyRedirects)"),
    ],
)
def test_a_refusal_is_told_in_plain_words(model: LanguageModel, status: int, because: str) -> None:
    model.script = answers(status)
    assert because in failure_of(model.url)


def test_a_redirect_is_not_followed(model: LanguageModel) -> None:
    def script(reply: Reply) -> None:
        if reply.path.endswith("/elsewhere"):
            says(GOOD_TEXT)(reply)
        reply.begin(307, "text/plain", Location=model.url + "/elsewhere")

    model.script = script
    assert failure_of(model.url) == "it could not be reached (TooManyRedirects)"
    assert model.received.qsize() == 1


def test_nobody_listening_is_told() -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
    assert failure_of(f"http://127.0.0.1:{port}/v1") == "it could not be reached (ConnectError)"


def _stalls_before(reply: Reply) -> None:
    reply.stall()


def _stalls_in_the_middle(reply: Reply) -> None:
    reply.begin()
    reply.say(GOOD_SENTENCES[0])
    reply.stall()


def _drips_comments(reply: Reply) -> None:
    """Every read is short, and no piece of the answer ever comes."""
    reply.begin()
    while not reply.stall(0.1):
        reply.raw(": still there\n\n")


def _drips_words(reply: Reply) -> None:
    reply.begin()
    while not reply.stall(0.1):
        reply.say(" and")


def _drips_headers(reply: Reply) -> None:
    """Every read is short, and the headers never end."""
    reply.raw("HTTP/1.0 200 OK\r\nX-Long: ")
    while not reply.stall(0.1):
        reply.raw("x")


@pytest.mark.parametrize(
    "script", [_stalls_before, _stalls_in_the_middle, _drips_headers, _drips_comments, _drips_words]
)
def test_an_answer_that_does_not_come_in_time_is_given_up(model: LanguageModel, script: Script) -> None:
    model.script = script
    assert failure_of(model.url) == "it did not answer in time"


def test_headers_and_body_share_one_deadline(model: LanguageModel) -> None:
    def script(reply: Reply) -> None:
        reply.stall(1.5)
        reply.begin()
        reply.stall()

    model.script = script
    begun = time.monotonic()
    assert failure_of(model.url, llm_timeout_seconds=2) == "it did not answer in time"
    assert time.monotonic() - begun < 3  # with the whole time for each it would be 3.5 seconds


def _cut(reply: Reply) -> None:
    reply.begin()
    reply.say(GOOD_TEXT)


def _too_long_for_the_model(reply: Reply) -> None:
    reply.begin()
    reply.say(GOOD_TEXT)
    reply.end("length")


def _done_without_finish(reply: Reply) -> None:
    reply.begin()
    reply.say(GOOD_TEXT)
    reply.raw("data: [DONE]\n\n")


@pytest.mark.parametrize("script", [_cut, _too_long_for_the_model, _done_without_finish])
def test_an_answer_that_was_cut_off_is_not_used(model: LanguageModel, script: Script) -> None:
    model.script = script
    assert failure_of(model.url) == "its answer was cut off"


@pytest.mark.parametrize(
    "garbage",
    [
        "data: {broken\n\n",
        "data: 7\n\n",
        "data: null\n\n",
        "data: []\n\n",
        'data: {"choices": null}\n\n',
        'data: {"choices": [null]}\n\n',
        'data: {"choices": [{}]}\n\n',
        'data: {"choices": [{"delta": null}]}\n\n',
        'data: {"choices": [{"delta": {"content": 7}}]}\n\n',
        'data: {"other": 1}\n\n',
        'data: {"error": "out of memory"}\n\n',
        'data: {"error": {"message": "out of memory"}}\n\n',
        "<html>Welcome</html>",
        "\x00\xff\n\n",
    ],
)
def test_garbage_is_a_failure_with_a_name(model: LanguageModel, garbage: str) -> None:
    def script(reply: Reply) -> None:
        reply.begin()
        reply.raw(garbage)

    model.script = script
    assert failure_of(model.url).startswith(("it could not be", "its answer was"))


def test_an_address_that_is_none_is_told() -> None:
    for url in ("garbage", "ftp://127.0.0.1", "http://", "http://127.0.0.1:99999"):
        assert failure_of(url).startswith("it could not be reached")


def test_a_report_of_usage_without_a_choice_is_no_failure(model: LanguageModel) -> None:
    def script(reply: Reply) -> None:
        reply.begin()
        reply.say(GOOD_TEXT)
        reply.data({"choices": [{"index": 0, "delta": {"content": ""}, "finish_reason": "stop"}]})
        reply.data({"choices": [], "usage": {"completion_tokens": 60, "prompt_tokens": 300, "total_tokens": 360}})
        reply.raw("data: [DONE]\n\n")

    model.script = script
    assert write(model.url)[0].text == GOOD_TEXT_FILLED


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
    source = explanation_source(settings_for("", **changes)).to_wire()
    assert source["model"] == model_name
    assert source["source"] == ("llm" if model_name else "template")
    assert str(source["reason"]).startswith(reason)
