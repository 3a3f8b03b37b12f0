"""The error taxonomy: every failure that crosses a process boundary has a name, a wire code and a sentence."""

from collections.abc import Mapping, Sequence
from typing import ClassVar

from config.secrets import ConfigurationError

FieldErrors = Mapping[str, Sequence[str]]


class DetectionSystemError(Exception):
    """Base of every named failure.

    ``code`` goes over the wire, ``status`` is its HTTP status, and ``retryable`` says whether the same
    request may succeed later. The message is shown to people: it never holds a patient's value.
    """

    code: ClassVar[str] = "internal_error"
    status: ClassVar[int] = 500
    retryable: ClassVar[bool] = False
    default_message: ClassVar[str] = "Something went wrong on our side. The request was not processed."

    def __init__(self, message: str | None = None, *, fields: FieldErrors | None = None) -> None:
        super().__init__(message or self.default_message)
        self.fields = {name: list(errors) for name, errors in (fields or {}).items()}

    @property
    def message(self) -> str:
        return str(self)


class TemporaryError(DetectionSystemError):
    """A failure for now: the same request may succeed later."""

    status = 503
    retryable = True


class InternalError(DetectionSystemError):
    """An unexpected failure; its details are in the log of the process, never in the answer."""


class InvalidMessageError(DetectionSystemError):
    """A message does not fit its schema; ``fields`` holds every error of every field."""

    code = "invalid_message"
    status = 422
    default_message = "The message does not have the expected form."


class InvalidRecordError(InvalidMessageError):
    """A patient record has a field that is missing, of the wrong type, or outside its possible range."""

    code = "invalid_record"
    default_message = "Some fields of the patient record cannot be accepted."


class RequestIdReusedError(DetectionSystemError):
    """A ``request_id`` came a second time from the same client with other content."""

    code = "request_id_reused"
    status = 409
    default_message = "This request id was already used for a different patient record."


class ErasedError(DetectionSystemError):
    """A request came again whose prediction was erased; it is never answered again."""

    code = "erased"
    status = 410
    default_message = "This patient was erased from the record. The same request is not analyzed again."


class NotSignedInError(DetectionSystemError):
    """No valid session or token came with the request."""

    code = "not_signed_in"
    status = 401
    default_message = "Please sign in with the link that was printed when the system started."


class NotAllowedError(DetectionSystemError):
    """The caller is known but may not do this, or the request came from a foreign origin."""

    code = "not_allowed"
    status = 403
    default_message = "This is not allowed."


class InvalidAccountError(DetectionSystemError):
    """An account cannot be changed in the way that was asked for; the message says why."""

    code = "invalid_account"
    status = 422
    default_message = "This account cannot be changed in that way."


class NotFoundError(DetectionSystemError):
    """There is nothing at this address that the caller may see."""

    code = "not_found"
    status = 404
    default_message = "There is nothing at this address."


class UnsupportedProtocolError(DetectionSystemError):
    """Client app and server speak different protocol versions."""

    code = "unsupported_protocol"
    status = 400
    default_message = "The client app and the server use different protocol versions. Update the older one."


class ReplacedConnectionError(DetectionSystemError):
    """A newer connection with the same client identity took over."""

    code = "connection_replaced"
    status = 409
    default_message = "Another client app connected with this identity, so this connection was closed."


class RateLimitedError(TemporaryError):
    """One sender asks too often; the same request may be sent again after ``retry_after`` seconds."""

    code = "rate_limited"
    status = 429
    default_message = "Too many requests in a short time. Try again in a moment."

    def __init__(self, retry_after: int = 1, message: str | None = None) -> None:
        super().__init__(message)
        self.retry_after = retry_after


class TooManyAttemptsError(RateLimitedError):
    """Too many attempts to sign in; the next is checked after ``retry_after`` seconds."""

    code = "too_many_attempts"

    def __init__(self, retry_after: int = 1) -> None:
        wait = f"{retry_after} seconds" if retry_after != 1 else "1 second"
        message = f"Too many attempts to sign in. Try again in {wait}; a one-click link works at any time."
        super().__init__(retry_after, message)


class TooManyConnectionsError(TemporaryError):
    """The process holds as many connections as it may."""

    code = "too_many_connections"
    default_message = "Too many open connections. Try again in a moment."


class OverloadedError(TemporaryError):
    """The queue is full; the request may be sent again later."""

    code = "overloaded"
    default_message = "The server is busy. The request will be sent again."


class OutdatedAttemptError(TemporaryError):
    """An earlier attempt of the same process to connect arrives after a later one."""

    code = "outdated_attempt"
    status = 409
    default_message = "A newer connection of this client app is already open."


class UnreadAnswerError(TemporaryError):
    """A follower asked again without the ticket of the last answer."""

    code = "unread_answer"
    status = 429
    default_message = "The connection asked for more before it had read the last answer. Reconnecting."


class StoreUnavailableError(TemporaryError):
    """The record of predictions cannot be written or read, so nothing is answered as saved."""

    code = "store_unavailable"
    default_message = "The record of predictions cannot be reached, so nothing was saved."


class ShuttingDownError(TemporaryError):
    """The process accepts nothing new because it is about to stop."""

    code = "shutting_down"
    default_message = "The server is shutting down. The request will be sent again."


class ServerUnreachableError(TemporaryError):
    """The client app has no connection to the server."""

    code = "server_unreachable"
    default_message = "The server cannot be reached at the moment."


class ArtifactError(DetectionSystemError):
    """A model artifact is missing, altered, or does not reproduce its known answers."""

    code = "model_unavailable"
    status = 503
    default_message = "There is no usable model. Run: python train_model.py"


class NoModelError(ArtifactError):
    """There is no trained model."""

    code = "no_model"


class OutdatedModelError(ArtifactError):
    """The model was written by an earlier version of this program."""

    code = "outdated_model"


class InvalidModelCardError(DetectionSystemError):
    """A model card that was received does not fit its schema."""

    code = "invalid_model_card"
    status = 502
    default_message = "The server sent a model card that this client app cannot read. Update the older one."


class InvalidDataError(DetectionSystemError):
    """A file of patients cannot be used; the message names row and column."""

    code = "invalid_data"
    status = 422
    default_message = "The data file cannot be used."


NAMED_ERRORS = (DetectionSystemError, ConfigurationError)
"""Failures that a command reports in one sentence before it ends."""
