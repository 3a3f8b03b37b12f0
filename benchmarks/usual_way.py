"""The usual way to score and explain, to compare with; a server too: ``PORT=8000 python -m benchmarks.usual_way``.

With ``REDIS_URL`` it is one of several, which tell each other's dashboards what they scored by way of Redis.
"""

import os
from typing import Any

import numpy as np
import shap
from flask import Flask
from flask_socketio import SocketIO, emit
from sklearn.ensemble import IsolationForest
from sklearn.pipeline import Pipeline, make_pipeline
from sklearn.preprocessing import StandardScaler
from werkzeug.serving import make_server

from common.messages import CLIENTS_NAMESPACE, OPERATORS_NAMESPACE
from common.patient import PatientRecord
from server.anomaly.dataset import FloatArray, matrix_of
from tests.support.patients import real_records

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


def main(port: int) -> None:
    """Serve on a thread for each connection and event, which is Flask-SocketIO's default; keep state in memory."""
    app = Flask(__name__)
    socketio = SocketIO(app, async_mode="threading", message_queue=os.environ.get("REDIS_URL"))
    usual = UsualWay(np.nan_to_num(matrix_of(real_records())))
    scored: list[str] = []

    def predict(message: dict[str, Any]) -> None:
        record = PatientRecord.check(message["record"])
        # Zero for what was not measured: the usual way has nothing else for it.
        (label,), (score,), (contributions,) = usual.assess(np.nan_to_num(matrix_of([record])))
        answer = {"label": int(label), "score": float(score), "contributions": contributions.tolist()}
        emit("prediction_result", {"request_id": message["request_id"], **answer})
        scored.append(message["request_id"])
        emit("scored", [message["request_id"]], namespace=OPERATORS_NAMESPACE, broadcast=True)

    socketio.on_event("predict", predict, namespace=CLIENTS_NAMESPACE)
    # What this server knows is all that a dashboard can be shown.
    socketio.on_event("connect", lambda: emit("scored", scored), namespace=OPERATORS_NAMESPACE)
    server = make_server("127.0.0.1", port, app, threaded=True)
    print(f"Open http://127.0.0.1:{port}", flush=True)
    server.serve_forever()


if __name__ == "__main__":
    main(int(os.environ["PORT"]))
