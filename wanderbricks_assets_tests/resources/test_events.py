"""What failures say: the sentence that was written for people, not what it was raised from."""

import dagster as dg
import pytest

from wanderbricks_assets.resources.events import first_cause, reason
from wanderbricks_assets.resources.lake import CannotWrite

SENTENCE = (
    "users could not be written to lake, and nothing of it was: 16 and 15 fields. Reset the table (docs/runbook.md)"
)


class Refusing(dg.ConfigurableIOManager):
    def load_input(self, context: dg.InputContext) -> object:
        raise NotImplementedError

    def handle_output(self, context: dg.OutputContext, obj: object) -> None:
        refuse()


def refuse() -> None:
    try:
        raise OSError("16 and 15 fields")
    except OSError as error:
        raise CannotWrite(SENTENCE) from error


@dg.asset
def stored() -> int:
    return 1


@dg.asset
def computed() -> None:
    refuse()


@pytest.mark.parametrize("asset", [stored, computed], ids=["when stored", "when computed"])
def test_a_step_failed_for_what_the_code_said_and_not_for_what_that_was_raised_from(asset: dg.AssetsDefinition):
    result = dg.materialize([asset], resources={"io_manager": Refusing()}, raise_on_error=False)
    (failure,) = result.get_step_failure_events()
    assert reason(first_cause(failure.step_failure_data.error)) == SENTENCE
