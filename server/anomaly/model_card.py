"""The model card: what a model is for, what it was made of and how well it did, for people to read."""

from collections.abc import Mapping
from typing import Any

from config.messages import Thresholds
from server.anomaly.evaluation import as_table

_TEXT = """\
# Model {model_version}

Isolation Forest ({n_estimators} trees of {max_samples} patients each) over eight one-sided risk factors made of 13
fields, fitted on patients without disease only. Trained {trained_at} with Python {python}, scikit-learn {scikit-learn},
numpy {numpy} and shap {shap}; seed {random_state}.

## Intended use

Demonstration and teaching. Not for the care of patients, and not a medical device.

The anomaly score is the share (0 to 1) of disease-free patients who are less anomalous. It is not a probability of
disease. The label used to evaluate it is angiographic narrowing of a major coronary vessel by at least 50 %, not a
heart attack.

## Data

{name}: {patients} patients, {disease_free} of them disease-free. sha256 `{sha256}`.

## Evaluation

```
{table}
```

These figures come from the same clinic as the training patients. How well the model does elsewhere is not known.

## Limits

- A value that was not measured is taken as typical of disease-free patients, which can hide a risk.
- A value outside the range the model was made for is scored all the same, and marked as extrapolated.
- The score tells how unusual a patient is among the disease-free of this data; it knows nothing of other diseases.
"""


def model_card(manifest: Mapping[str, Any]) -> str:
    """Return the card, in Markdown, of what is shown of a manifest."""
    table = as_table(manifest["metrics"], Thresholds.model_validate(manifest["thresholds"]))
    parts = manifest["versions"] | manifest["parameters"] | manifest["data"]
    return _TEXT.format_map(
        parts | {"model_version": manifest["model_version"], "trained_at": manifest["trained_at"], "table": table}
    )
