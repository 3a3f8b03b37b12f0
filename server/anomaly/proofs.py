"""What the shipped table proves of other files: by the rows they share, and by how its fields and labels go together.

The bounds of what counts as a proof are fixed here, before looking at any file.
"""

from collections import Counter, defaultdict
from collections.abc import Mapping
from functools import cache
from math import sqrt

import numpy as np
import pandas as pd
from scipy.special import logit
from sklearn.metrics import roc_auc_score

from common.dialects import LABEL, Codes
from common.patient import FIELDS, LABEL_COLUMN, LABELS
from server.anomaly.dataset import COLUMNS, SHIPPED_DATA, BoolArray, FloatArray, IndexArray
from server.anomaly.preprocessing import directed_factors

FEWEST_MATCHES, FEWEST_OF_A_CLASS = 20, 20
CHANCE = 0.5
GAP = -1
"""Stands for *not measured* among codes."""

_AGREEING = 0.98
_KEY = ["age", "resting_bp", "max_heart_rate", "st_depression"]  # no two rows of the shipped table share them
_SAME_CHOLESTEROL = 2  # mg/dL; rounding in mmol/L changes less

Meanings = Mapping[str, Codes]
"""What the codes of fields mean, by wire name or ``LABEL``."""
Matches = tuple[IndexArray, IndexArray]
"""Rows of a file, and the same patients' rows in the shipped table."""


@cache
def shipped_table() -> tuple[FloatArray, BoolArray]:
    """Return the shipped table: values of shape (303, 13) and labels."""
    table = pd.read_csv(SHIPPED_DATA)
    values = table[[field.csv_column for field in FIELDS.values()]].to_numpy(dtype=np.float64)
    return values, table[LABEL_COLUMN].map(LABELS).to_numpy(dtype=np.bool_)


def matches_of(values: FloatArray) -> Matches:
    """Find the patients of the shipped table by the fields that no convention changes."""
    names = [*_KEY, "cholesterol"]
    places = [COLUMNS.index(name) for name in names]
    here, there = (
        pd.DataFrame(of[:, places].round(2), columns=names).reset_index() for of in (values, shipped_table()[0])
    )
    # By fields that every copy has alike; codes and labels, which are to be proved, take no part.
    both = here.dropna(subset=_KEY).merge(there, on=_KEY, suffixes=("", "_there"))
    both = both[~((both["cholesterol"] - both["cholesterol_there"]).abs() > _SAME_CHOLESTEROL)]
    return both["index"].to_numpy(np.intp), both["index_there"].to_numpy(np.intp)


def proofs_of(matches: Matches, found: Mapping[str, FloatArray]) -> dict[str, dict[int, int | None]]:
    """Return what codes, by field and of shape (n,), mean in the rows that the shipped table has too.

    Nothing is proved by fewer than 20 of its rows, nor where rows disagree.
    """
    rows, shipped = matches
    values, has_disease = shipped_table()
    proofs: dict[str, dict[int, int | None]] = {name: {} for name in found}
    for name in proofs if np.unique(shipped).size >= FEWEST_MATCHES else []:
        truth = has_disease[shipped] if name == LABEL else np.nan_to_num(values[shipped, COLUMNS.index(name)], nan=GAP)
        meanings = defaultdict[float, Counter[float]](Counter)
        for code, meaning in zip(found[name][rows].tolist(), truth.tolist(), strict=True):
            if not np.isnan(code):
                meanings[code][meaning] += 1
        most = {int(code): of.most_common(1)[0] for code, of in meanings.items()}
        if sum(times for _, times in most.values()) >= _AGREEING * sum(map(Counter.total, meanings.values())):
            # A code of one row proves nothing: that row may be one of those that disagree.
            sure = {code: meaning for code, (meaning, times) in most.items() if times > 1}
            proofs[name] = {code: None if meaning == GAP else int(meaning) for code, meaning in sure.items()}
    return proofs


@cache
def logits_of(name: str) -> Mapping[float | None, float]:
    """Return the log-odds of disease by code in the shipped table, less those of all its patients."""
    values, has_disease = shipped_table()
    column, share = values[:, COLUMNS.index(name)], has_disease.mean()
    # Two patients more at the usual share: of the four with an ST-T abnormality nearly nothing is known.
    members = {code: has_disease[column == code] for code in FIELDS[name].codes}
    return {code: float(logit((of.sum() + 2 * share) / (of.size + 2)) - logit(share)) for code, of in members.items()}


def _fixed_score(values: FloatArray) -> FloatArray:
    """Return the sum of the directed factors, in their spread over the shipped patients, shape (n,)."""
    shipped, has_disease = shipped_table()
    typical = np.nanmedian(shipped[~has_disease], axis=0)
    factors, theirs = (directed_factors(np.where(np.isnan(of), typical, of)) for of in (values, shipped))
    score: FloatArray = (factors / theirs.std(axis=0)).sum(axis=1)
    return score


def auroc_of(values: FloatArray, has_disease: BoolArray, *, z: float) -> tuple[float, float, float]:
    """Return the AUROC of the sum of the standardized risk factors between its confidence limits, 0 and 1 for too few.

    Hanley and McNeil (1982), *The meaning and use of the area under a receiver operating characteristic (ROC) curve*.
    """
    ill, free = int(has_disease.sum()), int((~has_disease).sum())
    if not ill or not free:
        return 0.0, CHANCE, 1.0
    auroc = float(roc_auc_score(has_disease, _fixed_score(values)))
    one, other = auroc / (2 - auroc), 2 * auroc**2 / (1 + auroc)
    variance = auroc * (1 - auroc) + (ill - 1) * (one - auroc**2) + (free - 1) * (other - auroc**2)
    margin = z * sqrt(variance / (ill * free)) if min(ill, free) >= FEWEST_OF_A_CLASS else 1.0
    return auroc - margin, auroc, auroc + margin
