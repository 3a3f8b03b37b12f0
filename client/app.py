"""Entry point of a client app: choose the concurrency, then import and run everything else."""

import sys

try:
    from common.web.concurrency import async_mode_of_environment, patch_standard_library
except ModuleNotFoundError as missing:
    sys.exit(
        f"The client app is not installed here ({missing.name} is missing). "
        "In the project's folder run: pip install -r client/requirements.txt && pip install -e . --no-deps"
    )

patch_standard_library(async_mode_of_environment())

from client.factory import build
from common.web.serve import RunningApp, run_app
from config.settings import ClientSettings


def start(settings: ClientSettings) -> RunningApp:
    """Build the client app and begin to answer."""
    client = build(settings)
    client.relay.start()
    return RunningApp(client.app, client.real_time, client.stop)


if __name__ == "__main__":
    run_app(ClientSettings, start)
