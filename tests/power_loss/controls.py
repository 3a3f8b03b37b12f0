"""The product made careless on purpose, in a copy of its tree: what has to be caught."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final


@dataclass(frozen=True)
class Control:
    """A text of the product, and what takes its place wherever it stands."""

    old: str
    new: str

    def apply(self, tree: Path) -> None:
        """Change a copied tree.

        Raises
        ------
        ValueError
            When the text stands nowhere: the product has changed, and the control with it.
        """
        holding = [path for path in sorted(tree.rglob("*.py")) if self.old in path.read_text()]
        if not holding:
            raise ValueError(f"Nothing in the product holds what this control changes: {self.old!r}")
        for path in holding:
            path.write_text(path.read_text().replace(self.old, self.new))


CONTROLS: Final[Mapping[str, Control]] = {
    "synchronous-off": Control("synchronous=FULL", "synchronous=OFF"),
    "journal-deleted": Control("journal_mode=TRUNCATE", "journal_mode=DELETE"),
    "folders-not-synced": Control("_sync(folder, os.O_RDONLY)", "os.stat(folder)"),
}
