"""Which concurrency the process runs on, decided before anything else is imported."""

import os
import socket
import sys
import warnings
from collections.abc import Callable
from functools import partial
from typing import Final, TypeVar

from config.env_file import given

EVENTLET: Final = "eventlet"

SWITCH_SECONDS: Final = 0.0005

Given = TypeVar("Given")
Result = TypeVar("Result")


def async_mode_of_environment() -> str:
    """Return ``SOCKETIO_ASYNC_MODE`` from the environment or ``.env``; the settings check its value later."""
    try:
        return given().get("SOCKETIO_ASYNC_MODE", EVENTLET)
    except UnicodeDecodeError:  # reported with the other settings
        return EVENTLET


def patch_standard_library(async_mode: str) -> None:
    """Make the standard library cooperative if eventlet is on; it has to come before every other import."""
    # While a thread computes, as when a model is loaded, each call of another waits for it this long: with Python's
    # usual 5 ms an answer takes a second.
    sys.setswitchinterval(SWITCH_SECONDS)
    if async_mode == EVENTLET:
        warnings.filterwarnings("ignore", message=r"\s*Eventlet is deprecated")
        import eventlet  # noqa: PLC0415 - only if it is the mode

        eventlet.monkey_patch()
        # Otherwise psycopg waits for PostgreSQL in C, and everybody with it. A test measures it: this is undocumented.
        os.environ["PSYCOPG_WAIT_FUNC"] = "wait_selector"


def run_aside(async_mode: str, function: Callable[[Given], Result], given: Given) -> Result:
    """Call what computes for seconds, and wait for it while everybody else is served nearly as usual.

    It runs on a thread of the operating system, under eventlet too: it must not touch what belongs to green threads.
    """
    if async_mode != EVENTLET:
        return function(given)
    from eventlet import tpool  # noqa: PLC0415 - only if it is the mode

    tpool.set_num_threads(2)  # a slow look-up of a name holds up no password
    result: Result = tpool.execute(function, given)
    return result


def addresses_of(async_mode: str, host: str) -> list[str]:
    """Return the addresses that a host has now; raises ``OSError`` if it has none.

    eventlet's own look-up would keep an address for as long as the answer says, which is 10 minutes with Docker, and
    that there is none for 5: a server that came back elsewhere would not be found.
    """
    look_up = socket.getaddrinfo
    if async_mode == EVENTLET:
        from eventlet import patcher  # noqa: PLC0415 - only if it is the mode

        look_up = patcher.original("socket").getaddrinfo
    found = run_aside(async_mode, partial(look_up, port=None, type=socket.SOCK_STREAM), host)
    return [str(address[0]) for *_, address in found]
