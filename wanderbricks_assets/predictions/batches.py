"""Batch scoring on Spark: executors load the model and predict Arrow batches; no prediction passes through the driver.

For models that predict each row from that row alone (`Model.is_row_wise`). Inputs are a frame on any engine: what came
before each view, or was on the books, is found in memory (docs/decisions.md).
"""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path

from wanderbricks_assets.contracts.contract import Contract
from wanderbricks_assets.lazy import Table, ibis, pa, pd
from wanderbricks_assets.models.all import MODELS
from wanderbricks_assets.models.model import Model
from wanderbricks_assets.resources.engine import engine


def predicted_in_batches(model: Model, inputs: pd.DataFrame, contract: Contract) -> Table:
    """The model's columns of its predictions table, one row per row of inputs, as an expression on Spark."""
    said = model.predict(inputs.head(1)).columns
    schema = ibis.schema({name: contract.schema[name] for name in said})
    rows = pa.Table.from_pandas(inputs, preserve_index=False).replace_schema_metadata(None)
    return engine().in_batches(rows, _predictor(model, rows.schema, dict(inputs.dtypes), schema), schema)


def _predictor(
    model: Model, given: pa.Schema, types: dict[str, object], schema: ibis.Schema
) -> Callable[[Iterator[pa.RecordBatch]], Iterator[pa.RecordBatch]]:
    """A function for an executor: from batches of inputs to batches of predictions. It carries the files that
    `Model.save` writes, native and JSON, as a registry does."""
    with tempfile.TemporaryDirectory() as folder:
        model.save(Path(folder))
        files = {str(file.relative_to(folder)): file.read_bytes() for file in Path(folder).rglob("*") if file.is_file()}
    name, arrow_schema = model.name, schema.to_pyarrow()

    def predict(batches: Iterator[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
        with tempfile.TemporaryDirectory() as folder:
            for file, content in files.items():
                (Path(folder) / file).parent.mkdir(parents=True, exist_ok=True)
                (Path(folder) / file).write_bytes(content)
            loaded = MODELS[name].load(Path(folder))
        for batch in batches:
            # Spark's times carry a zone; a category comes back as text.
            frame = pa.Table.from_batches([batch]).cast(given).to_pandas().astype(types)
            said = loaded.predict(frame)
            yield from pa.Table.from_pandas(said, schema=arrow_schema, preserve_index=False).to_batches()

    return predict
