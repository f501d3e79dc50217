"""What the service refuses: one class of error for each HTTP status, all with a text of one line."""

from __future__ import annotations

from tune_mlp.errors import TuneMlpError, UsageError


class ServiceFault(UsageError):
    """A request that the service can't meet. `http` is the status that the API answers with."""

    http = 400


class NotAllowed(ServiceFault):
    """The user may not do this: another user's study, or a thing for admins."""

    http = 403


class UnknownStudy(ServiceFault):
    """There is no study with this name."""

    http = 404


class Conflict(ServiceFault):
    """The study isn't in a state for this, its name is taken, or the key was used for another request."""

    http = 409


class Refused(ServiceFault):
    """A value of the request breaks a rule that isn't one of a study file: a filter, a column, a key."""

    http = 422


class TooMany(ServiceFault):
    """A limit of the service is reached; the same request may be met later."""

    http = 429


class NoSpaceLeft(ServiceFault):
    """The disk is full, or the service's own file can't be written. Nothing of the request was kept."""

    http = 507


HTTP: dict[type[TuneMlpError], int] = {UsageError: 422, TuneMlpError: 500}
"""The status of errors that are none of the service's own; `http_status` looks for the nearest class."""


def http_status(error: TuneMlpError) -> int:
    """Return the HTTP status that an error is answered with: a StudyError is 422, a fault of ours is 500."""
    if isinstance(error, ServiceFault):
        return error.http
    return next(HTTP[kind] for kind in type(error).__mro__ if kind in HTTP)
