"""`wanderbricks prices`: what was decided about recommended prices."""

import getpass
from collections.abc import Callable
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Annotated

import typer

from wanderbricks_assets.cli.console import console, sentences
from wanderbricks_assets.cli.installation import Home, enter_made, settings_of

if TYPE_CHECKING:
    from wanderbricks_assets.activation.decisions import Choice

app = typer.Typer(help="Decide about recommended prices.", no_args_is_help=True)

Property = Annotated[int | None, typer.Option("--property", help="Property whose price was recommended.")]
Night = Annotated[datetime | None, typer.Option("--date", formats=["%Y-%m-%d"], help="Night of the stay.")]
Everything = Annotated[bool, typer.Option("--all", help="Every night (of --property) with an undecided new price.")]
Note = Annotated[str | None, typer.Option(help="Why.")]
By = Annotated[str | None, typer.Option(help="Who decided. [default: the account that runs this]")]


def _deciding(choice: "Choice") -> Callable[..., None]:
    def decide(
        property_id: Property = None,
        night: Night = None,
        everything: Everything = False,
        note: Note = None,
        by: By = None,
        home: Home = None,
    ) -> None:
        enter_made(home)
        from wanderbricks_assets.activation.decisions import Decision, record_decisions, undecided
        from wanderbricks_assets.resources.tables import lake_of

        lake, moment = lake_of(settings_of(home)), datetime.now(UTC).replace(tzinfo=None)
        with sentences():
            if everything == (night is not None) or (night and property_id is None):
                raise ValueError("give --property and --date for one night, or --all for every night that is open")
            if everything:
                decisions = undecided(lake, choice, moment, property_id, note)
            else:
                decisions = [Decision(property_id, night.date(), choice, note)]
            rows = record_decisions(lake, decisions, by or getpass.getuser(), moment)
        for row in rows[:20]:
            prices_of = f"{row['recommended_price']:g} instead of {row['current_price']:g}"
            console.print(f"{choice}ed: property {row['property_id']} on {row['target_date']}, {prices_of}")
        console.print(f"{len(rows):,} recorded")

    return decide


for _choice in ("accept", "reject"):
    _help = f"Record that recommended prices are {_choice}ed. A later decision supersedes an earlier one."
    app.command(_choice, help=_help)(_deciding(_choice))
