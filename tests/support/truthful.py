"""What a language model would write that keeps every rule, about whatever facts it is given."""

import re

from tests.support.llm_server import Reply, says


def explains(reply: Reply) -> None:
    """Write what is true of the facts in a request, word by word."""
    asked = reply.body["messages"][-1]["content"]
    level = asked.partition("\n")[0].removeprefix("Risk level: ")
    factors = re.findall(r"^(.+) (\[\[\w+\]\]): (raises|lowers) the score", asked, re.MULTILINE)
    sentences = [
        f"The risk level is {level}, with an anomaly score of [[anomaly_score]] against a threshold of [[threshold]].",
        *(f"The {label} ({slot}) {direction} the score." for label, slot, direction in factors),
        *(f"{line}." for line in re.findall("^(?:Not measured|Outside the model's range): .*", asked, re.MULTILINE)),
    ]
    says(" ".join(sentences))(reply)
