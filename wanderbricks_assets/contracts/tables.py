"""Every table of the lake by name, and the contract of any table."""

from difflib import get_close_matches

from wanderbricks_assets.contracts.activation import ACTIVATION
from wanderbricks_assets.contracts.contract import Contract
from wanderbricks_assets.contracts.features import FEATURES
from wanderbricks_assets.contracts.gold import GOLD
from wanderbricks_assets.contracts.monitoring import MONITORING
from wanderbricks_assets.contracts.predictions import PREDICTIONS
from wanderbricks_assets.contracts.source import SOURCE

LAKE: dict[str, Contract] = {**GOLD, **FEATURES, **PREDICTIONS, **MONITORING, **ACTIVATION}


def contract_of(name: str, reader: str) -> Contract:
    """The contract of a table of the lake or of the source. Raises LookupError, which says who reads it, for others."""
    known = {**SOURCE, **LAKE}
    if name not in known:
        near = ", ".join(get_close_matches(name, known)) or "none is like it"
        raise LookupError(f"{reader} reads '{name}', which no file of contracts/ has ({near}); correct or add it")
    return known[name]
