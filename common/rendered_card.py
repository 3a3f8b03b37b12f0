"""A model card as the server renders it and client apps pass it on."""

from typing import Annotated, Final

from pydantic import StringConstraints

from common.messages import Message

VERSION_NAME: Final = r"[0-9]{8}T[0-9]{6}Z-[0-9a-f]{12}"
"""The form of a model version's name: when it was made, in UTC, and a hash over what it is."""


class RenderedCard(Message):
    """A model card as HTML, and what the page around it says; ``model_card.html`` is that page."""

    version: Annotated[str, StringConstraints(pattern=f"^{VERSION_NAME}$")]
    active: str | None
    """The version that scores now; ``None`` when that is not known."""
    name: str
    tags: dict[str, str]
    """What stands beside the name, and the tone of each; empty for the usual one."""
    html: str
