"""The append to PostgreSQL as one statement: one round trip, and the counter is locked for no more than its own work.

A batch is stored whole if nothing is known of any of its requests, and not at all otherwise.
"""

from collections.abc import Sequence
from typing import Any

import orjson
from sqlalchemy import Connection, Row, text

from server.store.schema import CHANNEL, REPEATED, TIMELINE, WITHOUT_PREDICTION

# All parts of a statement read the moment at which it began, also where it then waited for the counter's lock. What was
# committed in between must not matter: an equal request fails at the unique key; an erasure, a withdrawal, a correction
# or a refusal shows in the counter's row, of which alone the newest version is compared. ``seen`` tells of all others.
_APPEND = text(
    f"""
WITH given AS MATERIALIZED (
    SELECT * FROM json_to_recordset(CAST(:given AS json)) AS one (
        number int, prediction_id text, client_id text, request_id text, request_digest text, risk_level text,
        anomaly_score float8, awaits_explanation boolean, body text, at text, since float8)
), taken AS (
    UPDATE change_counter SET value = value + (SELECT count(*) FROM given)
    WHERE timeline = {TIMELINE}
    AND (erased_up_to, refused_up_to) = (SELECT erased_up_to, refused_up_to FROM change_counter)
    AND NOT EXISTS (SELECT 1 FROM predictions JOIN given USING (client_id, request_id))
    AND NOT EXISTS (SELECT 1 FROM changes JOIN given USING (client_id, request_id) WHERE {WITHOUT_PREDICTION})
    RETURNING value, log_id, epoch
), numbered AS (
    SELECT given.*, value - (SELECT count(*) FROM given) + number AS sequence FROM given, taken
), logged AS (
    INSERT INTO changes (sequence, kind, prediction_id, client_id, request_id, at)
    SELECT sequence, 'prediction_made', prediction_id, client_id, request_id, at FROM numbered
), stored AS (
    INSERT INTO predictions (sequence, request_digest, body, {", ".join(REPEATED)})
    SELECT sequence, request_digest, body, {", ".join(REPEATED)} FROM numbered
), waiting AS (
    INSERT INTO awaiting_explanations (prediction_id, since, tries, leased_until)
    SELECT prediction_id, since, 0, 0 FROM numbered WHERE awaits_explanation
), counted AS (
    INSERT INTO counts (client_id, risk_level, predictions)
    SELECT client_id, risk_level, count(*) FROM numbered GROUP BY client_id, risk_level
    ON CONFLICT (client_id, risk_level) DO UPDATE SET predictions = counts.predictions + excluded.predictions
    RETURNING client_id, risk_level, predictions
), totals AS (
    SELECT client_id, risk_level, predictions FROM counted
    UNION ALL SELECT client_id, risk_level, predictions FROM counts
    WHERE (client_id, risk_level) NOT IN (SELECT client_id, risk_level FROM counted)
)
SELECT value, log_id, epoch, pg_notify('{CHANNEL}', value::text), (SELECT value FROM change_counter) AS seen,
    (SELECT json_agg(json_build_array(client_id, risk_level, predictions)) FROM totals) AS counts
FROM taken
"""  # noqa: S608 - of constants
)


def append(connection: Connection, rows: Sequence[dict[str, Any]]) -> Row[Any] | None:
    """Store predictions in the order of their rows; return the counter and the counts, ``None`` if nothing was stored.

    Raises
    ------
    sqlalchemy.exc.IntegrityError
        If an equal request was stored at the same time; nothing was stored of this batch then.
    """
    return connection.execute(_APPEND, {"given": orjson.dumps(rows).decode()}).one_or_none()
