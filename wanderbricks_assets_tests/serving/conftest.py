"""A real server on loopback over a real registry: one quick model and one real one serve, the others do not."""

import json
import threading
from contextlib import contextmanager
from pathlib import Path

import httpx
import ibis
import numpy as np
import pandas as pd
import pytest
import uvicorn

from wanderbricks_assets.activation.online_view import OnlineView
from wanderbricks_assets.models import all as all_models
from wanderbricks_assets.models.customer_ltv import CustomerLtv
from wanderbricks_assets.models.model import Calibration, Evaluation, Interval, Model
from wanderbricks_assets.models.registry import ModelRegistry
from wanderbricks_assets.serving.app import create_app
from wanderbricks_assets.serving.served_models import ServedModels
from wanderbricks_assets.targets import TARGETS
from wanderbricks_assets_tests.models.returning_customers import CUTOFF, returning_customers

REVENUE, DEMAND, CONVERSION, PRICES, VALUE = TARGETS.values()
PREFIX = "/serving-endpoints/wanderbricks-predictions/served-models/"
REVENUE_URL, VALUE_URL = f"{PREFIX}{REVENUE.registered_name}/invocations", f"{PREFIX}customer_ltv/invocations"
REVENUE_ROW = {"ds": "2024-06-03T00:00:00", "horizon_days": 1.0, "on_the_books": 50.0}


class Constant(Model):
    """Forecasts the same revenue for every day, above what is on the books; its versions differ by the revenue."""

    name = "revenue_forecaster"
    reads, flavours, limits = (), (), ()

    def __init__(self, seed: int = 0, revenue: float = 100.0):
        super().__init__(seed)
        self.revenue = revenue

    @classmethod
    def training_set(cls, tables, cutoff):
        return pd.DataFrame({"revenue": [1.0]})

    def fit(self, training):
        return self

    @classmethod
    def inputs(cls, tables, moment):
        days = pd.date_range(moment, periods=3)
        return pd.DataFrame({"ds": days, "horizon_days": [1.0, 2.0, 3.0], "on_the_books": [50.0, 20.0, 0.0]})

    def predict_columns(self, inputs):
        if np.any(inputs["horizon_days"] > 90):
            raise ValueError("horizons end at 90 days")
        return {"ds": inputs["ds"], "yhat": inputs["on_the_books"] + self.revenue}

    @classmethod
    def evaluate(cls, tables, cutoff, seed=0):
        return EVALUATION

    @property
    def params(self):
        return {"revenue": self.revenue}

    def save(self, folder: Path):
        (folder / "revenue.json").write_text(json.dumps(self.revenue))

    @classmethod
    def load(cls, folder: Path):
        return cls(revenue=json.loads((folder / "revenue.json").read_text()))

    @classmethod
    def figure(cls, evaluation):
        raise NotImplementedError


EVALUATION = Evaluation(
    metric=Interval(0.1, 0.09, 0.11),
    baseline=0.4,
    calibration=Calibration(True, "holds"),
    losses=pd.Series({"a": 0.1, "b": 0.1}),
    rows=pd.DataFrame({"actual": [1.0], "predicted": [1.1]}),
)


def register(registry: ModelRegistry, model: Model, inputs: pd.DataFrame, promote: bool = True) -> str:
    target = model.target()
    with registry.training_run(target, CUTOFF, "run") as run:
        registry.log(run, model, pd.DataFrame({"x": [1.0]}), inputs, EVALUATION, "card")
    version = registry.register(target, run.info.run_id)
    if promote:
        registry.promote(target, version)
    return version


@pytest.fixture(scope="session")
def customers() -> tuple[CustomerLtv, pd.DataFrame]:
    tables = {name: ibis.memtable(frame) for name, frame in returning_customers().items()}
    model = CustomerLtv().fit(CustomerLtv.training_set(tables, CUTOFF))
    return model, CustomerLtv.inputs(tables, CUTOFF)


@pytest.fixture(scope="module")
def registry(tmp_path_factory, customers):
    folder = tmp_path_factory.mktemp("registry")
    registry = ModelRegistry(tracking_uri=f"sqlite:///{folder / 'mlflow.db'}", artifact_folder=str(folder / "files"))
    with pytest.MonkeyPatch.context() as patch:
        patch.setitem(all_models.MODELS, "revenue_forecaster", Constant)
        register(registry, Constant(), Constant.inputs({}, CUTOFF))
        register(registry, *customers)
        with registry.training_run(CONVERSION, CUTOFF, "run") as run:
            registry.refuse(run, "no page view was followed by a booking")
        yield registry


@contextmanager
def serving(registry: ModelRegistry, view: Path = Path("nowhere"), **options):
    """The address of a server of its own, with its ServedModels."""
    models = ServedModels(lambda: registry, every=0.1)
    server = uvicorn.Server(uvicorn.Config(create_app(models, OnlineView(view), **options), port=0, log_level="error"))
    thread = threading.Thread(target=server.run, daemon=True)
    thread.start()
    while not server.started:
        thread.join(0.01)
        assert thread.is_alive()
    port = server.servers[0].sockets[0].getsockname()[1]
    yield f"http://127.0.0.1:{port}", models
    server.should_exit = True
    thread.join()


def client_of(address: str) -> httpx.Client:
    """One that waits for a busy machine: the first request imports much. How fast it is, bench/serving tells."""
    return httpx.Client(base_url=address, timeout=60)


@pytest.fixture(scope="module")
def address(registry):
    with serving(registry) as (address, _):
        yield address


@pytest.fixture
def client(address):
    with client_of(address) as client:
        yield client
