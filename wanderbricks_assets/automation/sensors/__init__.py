"""What happens is answered: late data, broken bounds, new champions, and runs that others wait for."""

from wanderbricks_assets.automation.sensors.carry_on import carry_on

SENSORS = [carry_on]
