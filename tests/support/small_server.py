"""The small app as a process of its own, with the settings of its environment: ``python -m`` this."""

from common.web.concurrency import async_mode_of_environment, patch_standard_library

patch_standard_library(async_mode_of_environment())

import time

from common.web.serve import RunningApp, run_app
from config.settings import ServerSettings
from tests.support.small_app import small_app


def start(settings: ServerSettings) -> RunningApp:
    small = small_app(settings)

    @small.app.get("/slow")
    def slow() -> dict[str, str]:
        print("asked", flush=True)
        time.sleep(0.5)
        return {"status": "answered"}

    return RunningApp(small.app, small.real_time, lambda: None)


if __name__ == "__main__":
    run_app(ServerSettings, start)
