"""The five models by name: adding a sixth is one file and one line here."""

from wanderbricks_assets.models.conversion_predictor import ConversionPredictor
from wanderbricks_assets.models.customer_ltv import CustomerLtv
from wanderbricks_assets.models.demand_predictor import DemandPredictor
from wanderbricks_assets.models.model import Model
from wanderbricks_assets.models.pricing_optimizer import PricingOptimizer
from wanderbricks_assets.models.revenue_forecaster import RevenueForecaster

MODELS: dict[str, type[Model]] = {
    model.name: model
    for model in (RevenueForecaster, DemandPredictor, ConversionPredictor, PricingOptimizer, CustomerLtv)
}
