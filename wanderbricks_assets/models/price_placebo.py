"""Do prices follow a demand that no table records? Then bookings already know the price that comes next.

A price cannot move the bookings made before it was set. A demand that hosts see and the data do not show, and that
lasts, moves both: what it does to the weeks before a price is about what it does to the weeks after it, which an
elasticity takes for the answer to the price. This is the test of strict exogeneity by a lead (Wooldridge 2010,
Econometric Analysis of Cross Section and Panel Data, section 10.7), a placebo treatment in time.
"""

from __future__ import annotations

from dataclasses import dataclass

from wanderbricks_assets.lazy import np, pd
from wanderbricks_assets.models.elasticity import VERY_SURE, solved
from wanderbricks_assets.models.price_panel import RECENT_WEEKS

BEFORE = 2 * RECENT_WEEKS  # weeks: those of recent_bookings
# What hosts saw when they set a price and the data show: a price that follows it is no secret.
SHOWN = ["occupancy_when_set", "recent_bookings_when_set"]
# Of the elasticity: about what its 90% interval reaches to either side with three years of 2,000 listings.
MATERIAL = 0.1


@dataclass(frozen=True)
class Placebo:
    """The "elasticity" of bookings to the next price, before it was set, and its standard error by listing; beside the
    elasticity to their own price in the same weeks."""

    lead: float
    standard_error: float
    elasticity: float
    weeks: int

    @property
    def holds(self) -> bool:
        """False where bookings know the next price surely, and by more than MATERIAL of how they answer their own; and
        where there was nothing to test it by."""
        is_sure = abs(self.lead) >= VERY_SURE * self.standard_error
        return self.weeks > 0 and not (is_sure and abs(self.lead) > MATERIAL * abs(self.elasticity))

    def __str__(self) -> str:
        if not self.weeks:
            return "no price followed another, so whether prices follow a demand that no table records cannot be told"
        found = (
            f"in the {BEFORE} weeks before a price was set bookings answer it by {self.lead:+.2f} "
            f"(standard error {self.standard_error:.2f})"
        )
        return found if self.holds else f"{found}, so prices follow a demand that no table records"


def placebo(rows: pd.DataFrame) -> Placebo:
    """rows: of `elasticity.residuals`, of any listings.

    A price's residual is that of its first settled week, less what SHOWN explains of it within the listing. All but
    `weeks` is NaN where no price followed another.
    """
    rows = rows.assign(set_at=rows.age_weeks - rows.weeks_since_set)
    prices = rows.sort_values(["property_id", "age_weeks"]).drop_duplicates(["property_id", "set_at"])
    values = prices[["price_residual", *SHOWN]]
    own = (values - values.groupby(prices.property_id).transform("mean")).to_numpy(float)
    shown = np.linalg.lstsq(own[:, 1:], own[:, 0], rcond=None)[0]
    later = prices.assign(next_residual=own[:, 0] - own[:, 1:] @ shown, next_set_at=prices.set_at)
    columns = ["next_residual", "next_set_at"]
    later[columns] = later.groupby("property_id")[columns].shift(-1)
    before = rows.merge(later[["property_id", "set_at", *columns]], on=["property_id", "set_at"])
    before = before[(before.next_set_at - before.age_weeks).between(1, BEFORE)]
    if before.empty:
        return Placebo(np.nan, np.nan, np.nan, 0)
    listing, _ = pd.factorize(before.property_id)
    x = before[["price_residual", "next_residual"]].to_numpy()
    found, errors = solved(before.bookings.to_numpy(), before.expected_bookings.to_numpy(), x, listing)
    return Placebo(float(found[1]), float(errors[1]), float(found[0]), len(before))
