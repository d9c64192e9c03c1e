from wanderbricks_assets.cli import app

app()
