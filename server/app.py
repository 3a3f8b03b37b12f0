"""Entry point of the server: choose the concurrency, then import and run everything else."""

import sys

try:
    from common.web.concurrency import async_mode_of_environment, patch_standard_library
except ModuleNotFoundError as missing:
    sys.exit(
        f"The server is not installed here ({missing.name} is missing). "
        "In the project's folder run: pip install -r server/requirements.txt && pip install -e . --no-deps"
    )

# Before all other imports: what they take from an unpatched standard library would block every connection.
patch_standard_library(async_mode_of_environment())

from common.web.serve import RunningApp, run_app
from config.settings import ServerSettings
from server.factory import build


def start(settings: ServerSettings) -> RunningApp:
    """Build the server and begin to answer."""
    server = build(settings)
    server.service.start()
    return RunningApp(server.app, server.real_time, server.service.stop)


if __name__ == "__main__":
    run_app(ServerSettings, start)
