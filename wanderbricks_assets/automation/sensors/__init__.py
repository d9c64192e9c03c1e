"""What happens is answered: late data, broken bounds, new champions, and runs that others wait for."""

from wanderbricks_assets.automation.sensors.carry_on import carry_on
from wanderbricks_assets.automation.sensors.degradation_sensor import degradation_sensor
from wanderbricks_assets.automation.sensors.promotion_sensor import promotion_sensor
from wanderbricks_assets.automation.sensors.source_sensor import source_sensor

SENSORS = [carry_on, source_sensor, degradation_sensor, promotion_sensor]
