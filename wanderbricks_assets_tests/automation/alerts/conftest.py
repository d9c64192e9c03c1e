from pathlib import Path

import pytest

from wanderbricks_assets_tests.automation.alerts.servers import Webhook
from wanderbricks_assets_tests.automation.alerts.world import World


@pytest.fixture
def hook():
    hook = Webhook()
    yield hook
    hook.close()


@pytest.fixture
def world(tmp_path: Path, hook: Webhook) -> World:
    return World(tmp_path, hook.url)
