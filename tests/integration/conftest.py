"""What ends with a test over real sockets."""

from collections.abc import Iterator

import pytest

from tests.support.speaking import Connection


@pytest.fixture
def connections() -> Iterator[list[Connection]]:
    """Connections that are closed when the test ends."""
    opened: list[Connection] = []
    yield opened
    for connection in opened:
        connection.close()
