"""Figures small enough for Dagster's event log, which keeps every copy."""

import base64
import io
from typing import TYPE_CHECKING

import dagster as dg

if TYPE_CHECKING:
    from matplotlib.figure import Figure

LARGEST = 100_000  # bytes


def picture(figure: "Figure") -> dg.MarkdownMetadataValue:
    """The figure as Markdown that Dagster shows. Raises ValueError when it is too heavy even at low resolution."""
    for dpi in (100, 70, 45):
        buffer = io.BytesIO()
        figure.savefig(buffer, format="png", dpi=dpi, bbox_inches="tight")
        if buffer.tell() * 4 / 3 < LARGEST:
            return dg.MetadataValue.md(
                f"![picture](data:image/png;base64,{base64.b64encode(buffer.getvalue()).decode()})"
            )
    raise ValueError(f"a picture of {buffer.tell()} bytes is too heavy for the event log: draw less")
