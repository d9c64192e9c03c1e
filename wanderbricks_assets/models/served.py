"""The MLflow model from code that wraps any of the five: native files and JSON, nothing pickled."""

import json
from pathlib import Path

import mlflow
import pandas as pd
from mlflow.pyfunc import PythonModel, PythonModelContext

from wanderbricks_assets.models.all import MODELS


class ServedModel(PythonModel):
    """Loads the folder that `Model.save` wrote; predicts frames of the model's inputs."""

    def load_context(self, context: PythonModelContext) -> None:
        folder = Path(context.artifacts["model"])
        name = json.loads((folder / "model.json").read_text())["model"]
        self.model = MODELS[name].load(folder)

    def predict(self, context, model_input: pd.DataFrame, params=None) -> pd.DataFrame:
        return self.model.predict(model_input)


mlflow.models.set_model(ServedModel())
