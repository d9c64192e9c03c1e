"""The dashboard's process: `python -m wanderbricks_assets.dashboard --port 8501`; WANDERBRICKS_HOME names the home."""

import argparse
from importlib import import_module
from pathlib import Path

APP = Path(__file__).parent / "app.py"
# Not asked for an e-mail address, nothing is sent anywhere, no file of the project is watched.
OPTIONS = {
    "server.headless": True,
    "server.fileWatcherType": "none",
    "server.showEmailPrompt": False,
    "browser.gatherUsageStats": False,
    "client.toolbarMode": "viewer",
    "client.showErrorDetails": "type",
    "theme.light.primaryColor": "#2b73b3",
    "theme.dark.primaryColor": "#5aa2e0",
}
# Loaded before the first visitor comes, who would wait for it.
SLOW_TO_LOAD = ("altair", "ibis.backends.duckdb", "mlflow", "wanderbricks_assets.scoreboard")


def serve(host: str, port: int) -> None:
    """Serve until the process is ended."""
    from streamlit.web import bootstrap

    for name in SLOW_TO_LOAD:
        import_module(name)
    options = {**OPTIONS, "server.address": host, "server.port": port}
    flags = {name.replace(".", "_"): value for name, value in options.items()}
    bootstrap.load_config_options(flags)
    bootstrap.run(str(APP), False, [], flags)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(prog="wanderbricks dashboard")
    parser.add_argument("--host", default="127.0.0.1")
    parser.add_argument("--port", type=int, default=8501)
    asked = parser.parse_args()
    serve(asked.host, asked.port)
