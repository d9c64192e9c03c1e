"""Where the dashboard reads: lake and registry of this home. Answers are kept until a table they come from changes."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Hashable
from functools import cache
from pathlib import Path
from threading import Lock
from typing import TypeVar

import streamlit as st

from wanderbricks_assets.contracts.tables import LAKE
from wanderbricks_assets.models.registry import ModelRegistry
from wanderbricks_assets.resources.lake import Lake
from wanderbricks_assets.resources.tables import lake_of
from wanderbricks_assets.settings import settings

Answer = TypeVar("Answer")
KEPT = 200  # answers; the greatest, a page's table, is some megabytes
_SQLITE = "sqlite:///"
# Streamlit runs every visitor in a thread of its own, and DuckDB's connection is one.
_ONE_AT_A_TIME = Lock()


@cache
def lake() -> Lake:
    return lake_of(settings())


@cache
def registry() -> ModelRegistry:
    return ModelRegistry.of(settings())


def is_anything_registered() -> bool:
    """Whether there is a registry to ask: MLflow would make a missing database by looking into it."""
    address = registry().tracking_uri
    return not address.startswith(_SQLITE) or Path(address.removeprefix(_SQLITE)).exists()


def ask(query: Callable[..., Answer], *parameters: Hashable, of: str | None = None) -> Answer:
    """The answer of a query to the tables that its first parameters are named after (or to that of one), and to more
    parameters."""
    names = [of] if of else [name for name in inspect.signature(query).parameters if name in LAKE]
    versions = tuple(lake().version(name) for name in names)
    return _answer(
        (query.__module__, query.__qualname__, lake().place, tuple(names), versions, parameters), query, names
    )


@st.cache_data(max_entries=KEPT, show_spinner=False)
def _answer(asked: tuple, _query: Callable[..., Answer], _names: list[str]) -> Answer:
    with _ONE_AT_A_TIME:
        return _query(*(lake().read(name) for name in _names), *asked[-1])
