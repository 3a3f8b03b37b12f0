"""What a language model would write that keeps every rule, about whatever facts it is given."""

import re

from tests.support.llm_server import Reply, says


def true_sentences(reply: Reply) -> list[str]:
    """Return sentences that are true of the facts in a request."""
    lines = reply.body["messages"][-1]["content"].splitlines()
    level = lines[0].removeprefix("Risk level: ")
    factors = re.findall(r"^(.+) (\[\[\w+\]\]): (raises|lowers) the score", "\n".join(lines[2:]), re.MULTILINE)
    return [
        f"The risk level is {level}, with an anomaly score of [[anomaly_score]] against a threshold of [[threshold]].",
        *(f"The {label} ({slot}) {direction} the score." for label, slot, direction in factors),
        *(f"{line}." for line in lines if line.startswith(("Not measured: ", "Outside the model's range: "))),
    ]


def explains(reply: Reply) -> None:
    """Write the whole of it, word by word."""
    says(" ".join(true_sentences(reply)))(reply)
