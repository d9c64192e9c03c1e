"""The Databricks workspace that this process may use, and what to do when it may not."""

from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from typing import TYPE_CHECKING

from wanderbricks_assets.settings import version

if TYPE_CHECKING:
    from databricks.sdk import WorkspaceClient


class NoAccess(Exception):
    """The workspace does not take the credentials, or there are none; the message says what to do."""


@cache
def workspace() -> "WorkspaceClient":
    """The workspace named by DATABRICKS_HOST or a profile of ~/.databrickscfg, with whatever credentials Databricks'
    own SDK finds there (OAuth, a token, a service principal): none of them is a setting of this project.

    What is busy or away (429, 503, a dropped connection) is asked again for five minutes, by the SDK.
    """
    from databricks.sdk import WorkspaceClient

    with said_by_workspace():
        return WorkspaceClient(product="wanderbricks-assets", product_version=version())


@contextmanager
def said_by_workspace() -> Iterator[None]:
    """Raises NoAccess, with a sentence, for credentials that are missing, expired or not allowed to do a thing."""
    from databricks.sdk.errors import PermissionDenied, Unauthenticated

    try:
        yield
    except (PermissionDenied, Unauthenticated) as error:
        raise NoAccess(
            f"The workspace refuses these credentials ({error}). If they have expired, `databricks auth login` or a "
            "new token brings new ones; what they must be allowed to do stands in docs/databricks.md"
        ) from error
    except ValueError as error:
        if "auth:" not in str(error):
            raise
        raise NoAccess(
            "There are no credentials for a workspace: set DATABRICKS_HOST and log in with `databricks auth login`, or "
            "see docs/databricks.md"
        ) from error
