"""The recordings that are explored, each with its judge."""

from pathlib import Path

from tests.power_loss.controls import CONTROLS
from tests.power_loss.exploring import Case
from tests.power_loss.of_client import CLIENT
from tests.power_loss.of_server import SERVER
from tests.power_loss.workload import copy_tree, record_both


def of_both(folder: Path, model_dir: Path, *, patients: int, control: str | None = None) -> list[Case]:
    """Record a server and a client app at work, of the product or of one that is broken by a control."""
    tree = copy_tree(folder / "tree")
    if control is not None:
        CONTROLS[control].apply(tree)
    both = record_both(tree, folder, model_dir, patients=patients, async_mode="eventlet")
    return [Case("server", both.server, SERVER), Case("client app", both.client, CLIENT)]
