"""The model that scores now: a version activated later takes over once it is verified, or is refused."""

import logging
from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import datetime
from pathlib import Path
from typing import Final

from common.errors import ArtifactError
from common.messages import ModelStatus
from common.periodic import PeriodicTask
from server.anomaly.detector import Detector
from server.registry.artifact import active_folder

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class _State:
    detector: Detector
    since: datetime
    refused: str | None = None


class CurrentModel:
    """Holds the detector of a folder of models, and watches which version is active there.

    Another version is loaded beside the one that scores and replaces it in one assignment: code that takes ``detector``
    once gets the scores, contributions and thresholds of one version. Files that cannot be believed change nothing but
    what ``status`` says. ``load`` may run beside green threads and logs nothing; its findings are logged here.
    """

    LOOKS_BETWEEN_ATTEMPTS: Final = 30
    """After so many looks, files that were refused are loaded again: the reason may lie outside of them."""

    def __init__(
        self, folder: Path, *, load: Callable[[Path], Detector], clock: Callable[[], datetime], seconds: float
    ) -> None:
        """Load the model, to be watched every ``seconds``; raises ``ArtifactError`` when there is none to be used."""
        self._folder = folder
        self._load = load
        self._clock = clock
        self._tried = _files_of(folder)
        self._looks = 0
        self._logged: str | None = None
        self._state = _State(load(folder), clock())
        self._log_trouble()
        self._told = self.status
        self._announce: Callable[[ModelStatus], None] = lambda _: None
        self._watching = PeriodicTask("model watcher", self._watch, seconds=seconds)

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
        self._announce = announce
        self._watching.start()

    def stop(self, seconds: float) -> None:
        """End watching; a model that is being loaded is waited for at most so long."""
        self._watching.stop(seconds)

    def _watch(self) -> None:
        if self.look():
            self._announce(self.status)

    def look(self) -> bool:
        """Load the active version if it is another one, and tell whether the status has changed since the last look."""
        # Before loading: what changes while files are read is seen at the next look.
        files = _files_of(self._folder)
        self._looks += 1
        if files != self._tried or (self._state.refused and self._looks % self.LOOKS_BETWEEN_ATTEMPTS == 0):
            self._tried = files
            # One assignment: a reader of the status sees the old version or the new one, never half of each.
            self._state = self._state_after_loading()
        self._log_trouble()
        before, self._told = self._told, self.status
        return self._told != before

    def _state_after_loading(self) -> _State:
        serving = self._state.detector.model_version
        try:
            detector = self._load(self._folder)
        except ArtifactError as error:
            reason = error.message
        except Exception:  # the watcher must not end, whatever a file does to the packages that read it
            log.exception("a model failed to load")
            reason = f"The model in {self._folder} cannot be loaded; the server's log says more."
        else:
            if detector.model_version == serving:
                return replace(self._state, refused=None)
            log.info("model version %s scores from now on, in place of %s", detector.model_version, serving)
            return _State(detector, self._clock())
        if reason != self._state.refused:
            log.warning("model version %s goes on scoring: %s", serving, reason)
        return replace(self._state, refused=reason)

    def _log_trouble(self) -> None:
        """Log once why a model's contributions cannot be shown, found at loading or while patients are scored."""
        trouble = self.detector.model.trouble
        if trouble is not None and trouble != self._logged:
            log.error("no contributions are shown: %s", trouble)
        self._logged = trouble


def _files_of(directory: Path) -> object:
    """Describe the active version's files: whatever differs from it has to be loaded."""
    try:
        folder = active_folder(directory)
        stats = {path.name: path.stat() for path in folder.iterdir()}
    except (ArtifactError, OSError):  # loading says what is wrong
        return None
    # Inode and change time too: a copy can keep both size and modification time.
    return folder, {name: (now.st_ino, now.st_size, now.st_mtime_ns, now.st_ctime_ns) for name, now in stats.items()}
