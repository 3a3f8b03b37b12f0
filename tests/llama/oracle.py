"""Whether a text is true of a prediction, found out in another way than the guard's."""

import re

from common.messages import Prediction
from common.patient import FIELDS
from server.explanation.meanings import meaning_of

_NUMBER = re.compile(r"(?<![\w.])-?\d+(?:\.\d+)?")
_DIRECTION = re.compile(r"\b(raise|lower)", re.IGNORECASE)


def untruths(text: str, prediction: Prediction) -> list[str]:
    """Return what a text says wrongly, found in another way than the guard's."""
    for name in FIELDS:  # what is fixed text says nothing of the patient but that it was recorded
        text = text.replace(meaning_of(name, prediction.record) or "\0", "")
    return [*wrong_numbers(text, prediction), *wrong_directions(text, prediction), *wrong_levels(text, prediction)]


def wrong_numbers(text: str, prediction: Prediction) -> list[str]:
    """Return the numbers that are neither the score, a threshold nor a value that was entered."""
    without_labels = text
    for field in FIELDS.values():
        without_labels = re.sub(re.escape(field.label), "", without_labels, flags=re.IGNORECASE)
    record = prediction.record.model_dump()
    entered = " ".join(FIELDS[name].in_words(value) for name, value in record.items())
    score = prediction.anomaly_score
    known = [float(found) for found in _NUMBER.findall(entered)]
    known += [prediction.thresholds.medium, prediction.thresholds.high, int(score * 1000) / 1000, int(score * 100), 99]
    return [found for found in _NUMBER.findall(without_labels) if float(found) not in known]


def wrong_directions(text: str, prediction: Prediction) -> list[str]:
    """Return the fields that a sentence with one direction names and whose contribution goes the other way."""
    by_label = {FIELDS[item.field].label.lower(): item.contribution for item in prediction.contributions}
    wrong = []
    for sentence in re.split(r"(?<=[.!?])\s+", text):
        said = {word.lower() for word in _DIRECTION.findall(sentence)}
        if len(said) == 1:
            sign = 1 if said == {"raise"} else -1
            wrong += [label for label, size in by_label.items() if label in sentence.lower() and size * sign < 0]
    return wrong


def wrong_levels(text: str, prediction: Prediction) -> list[str]:
    others = {"Low", "Medium", "High"} - {prediction.risk_level.value}
    return [level for level in others if re.search(rf"\b{level} risk|risk level (is )?{level}\b", text, re.IGNORECASE)]
