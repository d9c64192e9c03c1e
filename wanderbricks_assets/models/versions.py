"""What the registry tells of the versions of a model."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from functools import cached_property
from typing import TYPE_CHECKING, NamedTuple

from wanderbricks_assets.models.model import Model

if TYPE_CHECKING:
    from mlflow.pyfunc import PyFuncModel


@dataclass(frozen=True)
class Candidate:
    """The newest training of a model: an evaluated version, or the reason why there is none.

    decision: what promotion has decided about it, if it has.
    """

    cutoff: datetime
    run_id: str
    version: str | None
    refusal: str | None
    decision: str | None = None


@dataclass(frozen=True)
class Registered:
    """A version on record: its training run, what promotion decided about it, and whether it was ever let serve."""

    version: str
    cutoff: datetime
    run_id: str
    decision: str | None
    promoted: bool


class Input(NamedTuple):
    """A column that a version asks for: its name, its MLflow type, and whether it must be there."""

    name: str
    kind: str
    required: bool


@dataclass(frozen=True)
class Champion:
    """A version that may serve, the moment up to which it has seen the world, and the version as MLflow describes it,
    with signature and input example."""

    version: str
    cutoff: datetime
    model: Model
    pyfunc: PyFuncModel

    @cached_property
    def inputs(self) -> tuple[Input, ...]:
        """The columns of the signature."""
        columns = self.pyfunc.metadata.signature.inputs
        return tuple(Input(column.name, column.type.name, column.required) for column in columns)
