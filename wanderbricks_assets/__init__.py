"""Wanderbricks Assets: machine learning for a vacation-rental marketplace, as Dagster assets."""

import warnings

# Of XGBoost's wheels the one without GPU kernels is locked, which takes every system for an old one.
warnings.filterwarnings("ignore", message="Your system has an old version of glibc", category=FutureWarning)
