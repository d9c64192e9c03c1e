"""Every table of the lake by name."""

from wanderbricks_assets.contracts.activation import ACTIVATION
from wanderbricks_assets.contracts.contract import Contract
from wanderbricks_assets.contracts.features import FEATURES
from wanderbricks_assets.contracts.gold import GOLD
from wanderbricks_assets.contracts.monitoring import MONITORING
from wanderbricks_assets.contracts.predictions import PREDICTIONS

LAKE: dict[str, Contract] = {**GOLD, **FEATURES, **PREDICTIONS, **MONITORING, **ACTIVATION}
