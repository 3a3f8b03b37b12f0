"""The usual way to score and explain, to compare with; a server too: ``PORT=8000 python -m benchmarks.usual_way``.

With ``REDIS_URL`` it is one of several, which tell each other's dashboards what they scored by way of Redis.
"""

import os
from typing import Any

import numpy as np
import shap
from flask import Flask
from flask_socketio import Namespace, SocketIO, emit
from sklearn.ensemble import IsolationForest
from sklearn.pipeline import Pipeline, make_pipeline
from sklearn.preprocessing import StandardScaler
from werkzeug.serving import make_server

from common.messages import CLIENTS_NAMESPACE, OPERATORS_NAMESPACE
from common.patient import PatientRecord
from server.anomaly.dataset import COLUMNS, SHIPPED_DATA, FloatArray, matrix_of, rows_of
from server.anomaly.recognition import load_dataset

TREES = 300
SAMPLES = 256


class UsualWay:
    """StandardScaler and a large isolation forest: ``predict``, ``score_samples`` and SHAP, one after the other."""

    def __init__(self, complete: FloatArray) -> None:
        forest = IsolationForest(n_estimators=TREES, max_samples=SAMPLES, random_state=0)
        self._pipeline: Pipeline = make_pipeline(StandardScaler(), forest).fit(complete)
        self._explainer = shap.TreeExplainer(forest)

    def assess(self, complete: FloatArray) -> tuple[FloatArray, FloatArray, FloatArray]:
        """Return labels, scores and SHAP values of patients, the last of shape (n, 13)."""
        labels = self._pipeline.predict(complete)
        scores = self._pipeline.score_samples(complete)
        return labels, scores, self._explainer.shap_values(self._pipeline[0].transform(complete))


class _Clients(Namespace):  # type: ignore[misc]
    def __init__(self, usual: UsualWay, scored: list[str]) -> None:
        super().__init__(CLIENTS_NAMESPACE)
        self._usual = usual
        self._scored = scored

    def on_predict(self, message: dict[str, Any]) -> None:
        record = PatientRecord.check(message["record"])
        # Zero for what was not measured: the usual way has nothing else for it.
        (label,), (score,), (contributions,) = self._usual.assess(np.nan_to_num(matrix_of([record])))
        answer = {"label": int(label), "score": float(score), "contributions": contributions.tolist()}
        # To the sender alone; the namespace's own method would tell every connection.
        emit("prediction_result", {"request_id": message["request_id"], **answer})
        self._scored.append(message["request_id"])
        emit("scored", [message["request_id"]], namespace=OPERATORS_NAMESPACE, broadcast=True)


class _Operators(Namespace):  # type: ignore[misc]
    def __init__(self, scored: list[str]) -> None:
        super().__init__(OPERATORS_NAMESPACE)
        self._scored = scored

    def on_connect(self) -> None:
        emit("scored", self._scored)  # what this server knows is all that a dashboard can be shown


def shipped_records() -> list[PatientRecord]:
    """Return the patients of the shipped data."""
    rows = rows_of(load_dataset(SHIPPED_DATA).values)
    return [PatientRecord.model_validate(dict(zip(COLUMNS, row, strict=True)), strict=False) for row in rows]


def main(port: int) -> None:
    """Serve on a thread for each connection and event, which is Flask-SocketIO's default; keep state in memory."""
    app = Flask(__name__)
    socketio = SocketIO(app, async_mode="threading", message_queue=os.environ.get("REDIS_URL"))
    scored: list[str] = []
    socketio.on_namespace(_Clients(UsualWay(np.nan_to_num(matrix_of(shipped_records()))), scored))
    socketio.on_namespace(_Operators(scored))
    server = make_server("127.0.0.1", port, app, threaded=True)
    print(f"Open http://127.0.0.1:{port}", flush=True)
    server.serve_forever()


if __name__ == "__main__":
    main(int(os.environ["PORT"]))
