"""The product with one thing broken on purpose: what the checker must catch."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from tests.faults.checker import Kind


@dataclass(frozen=True)
class Edit:
    """A text of a file that stands there once, and what takes its place."""

    file: str
    old: str
    new: str

    def apply(self, tree: Path) -> None:
        """Change the copied tree.

        Raises
        ------
        ValueError
            When the text does not stand there once: the product has changed, and the control with it.
        """
        path = tree / self.file
        text = path.read_text()
        if text.count(self.old) != 1:
            raise ValueError(f"{self.file} no longer holds once what this control changes: {self.old!r}")
        path.write_text(text.replace(self.old, self.new))


@dataclass(frozen=True)
class Control:
    """One way to break the promise, and the kinds of findings of which one at least must come of it."""

    edits: tuple[Edit, ...]
    caught_as: frozenset[Kind]

    def apply(self, tree: Path) -> None:
        for edit in self.edits:
            edit.apply(tree)


CONTROLS: Final[Mapping[str, Control]] = {
    "outbox-in-memory": Control(
        # it ends with the process, as memory does, and can be read from outside all the same
        (
            Edit(
                "client/outbox_file.py",
                "            make_private(path)\n",
                "            path.unlink(missing_ok=True)\n            make_private(path)\n",
            ),
        ),
        frozenset({Kind.LOST}),
    ),
    "result-before-commit": Control(
        (
            Edit(
                "server/predictions.py",
                "        self._recorder.record(new,",
                "        for early in new:\n            self._publisher.repeat(early.prediction)\n"
                "        self._recorder.record(new,",
            ),
        ),
        frozenset({Kind.NOT_STORED}),
    ),
    "no-deduplication": Control(
        (
            Edit(
                "server/store/record.py",
                'connection.execute(_FIND, {"client_ids": client_ids, "request_ids": request_ids}).all()',
                "[]",
            ),
            Edit(
                "server/store/migrations/versions/0001_predictions_and_change_log.py",
                '        sa.UniqueConstraint("client_id", "request_id", name="uq_predictions_client_id_request_id"),\n',
                "",
            ),
        ),
        frozenset({Kind.DOUBLED}),
    ),
    "no-catch-up": Control(
        (
            Edit(
                "server/store/record.py",
                "            if after > connection.execute(_COUNTER).scalar_one():\n                after = 0\n",
                "            after = connection.execute(_COUNTER).scalar_one()\n",
            ),
        ),
        frozenset({Kind.LOST}),
    ),
    "no-catch-up-of-clients": Control(
        (Edit("client/relay.py", "_outbox.take(changes)", '_outbox.take(changes.model_copy(update={"entries": []}))'),),
        frozenset({Kind.LOST}),
    ),
    "no-order": Control(
        (Edit("server/outbox_order.py", "if request.follows > self._taken_up_to[client_id]:", "if False:"),),
        frozenset({Kind.REORDERED}),
    ),
}
