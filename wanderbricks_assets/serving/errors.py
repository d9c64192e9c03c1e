"""What a request can be refused for, as Databricks says it: a status code, an error code and a sentence."""

from __future__ import annotations

from pydantic import BaseModel, Field


class ApiError(Exception):
    """A refusal; the message is a sentence for the person who sent the request."""

    def __init__(self, status: int, code: str, message: str):
        super().__init__(message)
        self.status, self.code, self.message = status, code, message


class ErrorBody(BaseModel):
    """How every refusal is answered."""

    error_code: str = Field(examples=["RESOURCE_DOES_NOT_EXIST"])
    message: str


def bad_request(message: str) -> ApiError:
    return ApiError(400, "BAD_REQUEST", message)


def unauthenticated() -> ApiError:
    return ApiError(401, "UNAUTHENTICATED", "Send the token of this server as `Authorization: Bearer TOKEN`.")


def unknown(message: str) -> ApiError:
    return ApiError(404, "RESOURCE_DOES_NOT_EXIST", message)


def conflict(message: str) -> ApiError:
    return ApiError(409, "RESOURCE_CONFLICT", message)


def too_large(message: str) -> ApiError:
    return ApiError(413, "REQUEST_ENTITY_TOO_LARGE", message)


def too_many(message: str) -> ApiError:
    return ApiError(429, "RESOURCE_EXHAUSTED", message)


def misspelt(message: str) -> ApiError:
    return ApiError(422, "INVALID_PARAMETER_VALUE", message)


def unavailable(message: str) -> ApiError:
    return ApiError(503, "TEMPORARILY_UNAVAILABLE", message)


def too_late(message: str) -> ApiError:
    return ApiError(504, "DEADLINE_EXCEEDED", message)
