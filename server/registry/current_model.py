"""The model that scores now: a version activated later takes over once it is verified, or is refused."""

import logging
import os
import threading
from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import datetime
from pathlib import Path
from typing import Final

from common.errors import ArtifactError
from common.messages import ModelStatus
from server.anomaly.detector import Detector
from server.registry.versions import load_active_or_stored

log = logging.getLogger(__name__)

Files = tuple[tuple[str, int, int, int, int], ...]
"""Name, number, size, and times of both changes of each file of a model: other files are another model, perhaps."""


@dataclass(frozen=True)
class _State:
    detector: Detector
    since: datetime
    refused: str | None = None


class CurrentModel:
    """Holds the detector of a model's folder, and watches the folder.

    What is in there is loaded beside the detector that scores and replaces it at one stroke: whoever takes ``detector``
    once for all that belongs together gets one version's scores, contributions and thresholds. Files that cannot be
    believed change nothing but what ``status`` says; at the start, the version they belong to is taken from its own
    folder then. ``load`` may run beside green threads and logs nothing: what there is to say is logged here.
    """

    MOST_LOOKS_BETWEEN_ATTEMPTS: Final = 128

    def __init__(
        self, folder: Path, *, load: Callable[[Path], Detector], clock: Callable[[], datetime], seconds: float
    ) -> None:
        """Load the model, to be watched every ``seconds``.

        Raises
        ------
        ArtifactError
            When there is no model in the folder, and none that can be believed in the active version's own.
        """
        self._folder = folder
        self._load = load
        self._clock = clock
        self._seconds = seconds
        self._tried = _files_of(folder)
        self._failures = 0
        self._looks_to_wait = 0
        self._unexplained = 0
        self._trouble: str | None = None
        self._state = self._first_state()
        self._told = self.status
        self._stopping = threading.Event()
        self._watcher: threading.Thread | None = None

    @property
    def detector(self) -> Detector:
        return self._state.detector

    @property
    def status(self) -> ModelStatus:
        state = self._state
        return ModelStatus(
            version=state.detector.model_version,
            since=state.since,
            metrics=state.detector.metrics,
            refused=state.refused,
            explains=state.detector.model.explains,
        )

    def start(self, announce: Callable[[ModelStatus], None]) -> None:
        """Begin to watch the folder; every change of the status is announced."""
        self._watcher = threading.Thread(target=self._watch, args=(announce,), name="model watcher", daemon=True)
        self._watcher.start()

    def stop(self, seconds: float) -> None:
        """End watching; a model that is being loaded is waited for at most so long."""
        self._stopping.set()
        if self._watcher is not None:
            self._watcher.join(seconds)

    def look(self) -> bool:
        """Load what is in the folder if that is due, and tell whether the status is another one now."""
        if self._is_due(_files_of(self._folder)):
            self._state = self._state_after_loading()
        self._report_unexplained()
        before, self._told = self._told, self.status
        return self._told != before

    def _watch(self, announce: Callable[[ModelStatus], None]) -> None:
        is_untold = False
        while not self._stopping.wait(self._seconds):
            try:
                is_untold |= self.look()
                if is_untold:
                    announce(self.status)
                    is_untold = False
            except Exception:
                log.exception("the model's folder could not be looked at, or its status not announced; both go on")

    def _first_state(self) -> _State:
        detector, refused = load_active_or_stored(self._folder, self._load)
        if refused is not None:
            log.warning("model version %s was loaded from its own folder: %s", detector.model_version, refused)
            self._put_off()
        self._report_new(detector)
        return _State(detector, self._clock(), refused)

    def _is_due(self, files: Files) -> bool:
        """Tell whether to load: other files at once, files that were refused again, ever more seldom."""
        if files != self._tried:
            self._tried, self._failures = files, 0
            return True
        if not self._failures:
            return False
        self._looks_to_wait -= 1
        return self._looks_to_wait < 0

    def _state_after_loading(self) -> _State:
        try:
            detector = self._load(self._folder)
        except ArtifactError as error:
            return self._refused(error.message)
        except Exception:
            log.exception("a model failed to load")
            return self._refused(f"The model in {self._folder} cannot be loaded; the server's log says more.")
        self._failures = 0
        return self._taken(detector)

    def _taken(self, detector: Detector) -> _State:
        serving = self._state.detector.model_version
        if detector.model_version == serving:
            if self._state.refused is not None:
                log.info("the model's files are those of version %s again", serving)
            return replace(self._state, refused=None)
        log.info("model version %s scores from now on, in place of %s", detector.model_version, serving)
        self._report_new(detector)
        return _State(detector, self._clock())

    def _refused(self, reason: str) -> _State:
        """Return the state with a reason, which counts from the second time: files may be on their way at the first."""
        self._put_off()
        if self._failures == 1 or reason == self._state.refused:
            return self._state
        log.warning("model version %s goes on scoring: %s", self._state.detector.model_version, reason)
        return replace(self._state, refused=reason)

    def _put_off(self) -> None:
        self._failures += 1
        self._looks_to_wait = min(2 ** (self._failures - 1), self.MOST_LOOKS_BETWEEN_ATTEMPTS) - 1

    def _report_new(self, detector: Detector) -> None:
        """Log what keeps a model from explaining; the made-up patients that it was tried with do not count later."""
        model = detector.model
        self._unexplained, self._trouble = model.unexplained, None
        if not model.explains and model.trouble is not None:
            log.error("no contributions are shown: %s", model.trouble)

    def _report_unexplained(self) -> None:
        """Log that contributions failed since the last look; the same trouble once for as long as it goes on."""
        model = self.detector.model
        more, self._unexplained = model.unexplained - self._unexplained, model.unexplained
        trouble = model.trouble if more else None
        if trouble is not None and trouble != self._trouble:
            log.error("no contributions are shown for %d patients: %s", more, trouble)
        self._trouble = trouble


def _files_of(folder: Path) -> Files:
    """Describe a folder's files, hidden ones apart: those are on their way to their names."""
    try:
        with os.scandir(folder) as entries:
            found = [(entry.name, entry.stat()) for entry in entries if entry.is_file() and entry.name[0] != "."]
    except OSError:  # loading will say what is wrong
        return ()
    return tuple(sorted((name, now.st_ino, now.st_size, now.st_mtime_ns, now.st_ctime_ns) for name, now in found))
