"""Answers are compressed for browsers that ask for it, and kept ones are not sent again."""

import gzip

import pytest

from config.secrets import PROJECT_ROOT
from tests.integration.web.conftest import Running
from tests.support.raw_socket import POLLING
from tests.support.speaking import Browser

FILE = "/ui/base.css"
CONTENT = (PROJECT_ROOT / "common" / FILE[1:]).read_bytes()


def test_a_file_is_compressed_and_not_sent_again_while_it_stays(running: Running) -> None:
    browser = Browser(running.url)
    answer = browser.get(FILE, Accept_Encoding="gzip")
    assert gzip.decompress(answer.body) == CONTENT
    assert "Accept-Encoding" in (answer.headers["Vary"] or "")
    plain = browser.get(FILE)
    assert (plain.body, plain.headers["Content-Encoding"]) == (CONTENT, None)
    assert plain.headers["ETag"] != answer.headers["ETag"]
    for kept, encoding in ((answer, "gzip"), (plain, None)):
        again = browser.get(FILE, Accept_Encoding=encoding, If_None_Match=kept.headers["ETag"])
        assert (again.status, again.body, again.headers["Cache-Control"]) == (304, b"", "no-cache")
    assert browser.get(FILE, Accept_Encoding="gzip", If_None_Match='"another"').status == 200


def test_a_part_of_a_file_is_that_part(running: Running) -> None:
    answer = Browser(running.url).get(FILE, Accept_Encoding="gzip", Range="bytes=3-9")
    assert (answer.status, answer.body, answer.headers["Content-Encoding"]) == (206, CONTENT[3:10], None)


@pytest.mark.parametrize("encoding", ["gzip", "zstd"])
def test_pages_are_compressed_and_the_real_time_side_is_not(running: Running, encoding: str) -> None:
    browser = running.signed_in()
    assert browser.get("/sign-in", Accept_Encoding=encoding).headers["Content-Encoding"] == encoding
    polled = browser.request("GET", POLLING, headers={"Accept-Encoding": encoding})
    assert (polled.status, polled.headers["Content-Encoding"]) == (200, None)
