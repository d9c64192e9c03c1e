"""Heavy libraries under their usual names, loaded when first used: `from wanderbricks_assets.lazy import ibis, pd`.

Dagster loads the definitions again and again, and they use none of these: pandas, Ibis and PyArrow alone would
more than double the time. `Table` is for annotations: Dagster evaluates those of assets, which would load Ibis.
Modules that annotate with these names begin with `from __future__ import annotations`.
"""

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import ibis
    import numpy as np
    import pandas as pd
    import pyarrow as pa
    from ibis import Table
else:
    import lazy_loader

    ibis = lazy_loader.load("ibis")
    np = lazy_loader.load("numpy")
    pd = lazy_loader.load("pandas")
    pa = lazy_loader.load("pyarrow")
    Table = Any

Columns = Mapping[str, "np.ndarray"]
"""Columns of rows by name: arrays of one length. A frame is one, too."""

NestedColumns = Mapping[str, "np.ndarray | Sequence"]
"""The same, where those of lists and structs may be Python sequences."""

__all__ = ["Columns", "NestedColumns", "Table", "ibis", "np", "pa", "pd"]
