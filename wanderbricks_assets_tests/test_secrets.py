"""What must stay secret is written nowhere, even where everything goes wrong."""

import pytest

from wanderbricks_assets_tests.test_cli import small_source, wanderbricks  # noqa: F401 (a fixture)

PLANTED = {
    "WANDERBRICKS_ALERT_URLS": "json://alarm:planted-alert-password@127.0.0.1:1/hook",
    "WANDERBRICKS_SERVE_TOKEN": "planted-serve-token",
    "DATABRICKS_TOKEN": "planted-databricks-token",
    "DATABRICKS_CLIENT_SECRET": "planted-client-secret",
    "PGPASSWORD": "planted-database-password",
}


@pytest.fixture(scope="module")
def told(small_source, tmp_path_factory) -> dict[str, bytes]:  # noqa: F811
    """By name, all that a home holds and all that was printed, after an alert that could not be delivered, gates that
    failed, and a step that could not read its source."""
    home = tmp_path_factory.mktemp("home")
    words = ("--source", str(small_source), "--start", "2024-01-01")
    first = wanderbricks("run", *words, "--as-of", "2024-01-10", home=home, **PLANTED)
    damaged = small_source / "reviews.parquet"
    damaged.write_bytes(b"no parquet")
    second = wanderbricks("run", *words, "--as-of", "2024-01-12", home=home, **PLANTED)
    damaged.unlink()
    assert (first.returncode, second.returncode) == (2, 1), first.stdout + second.stdout + second.stderr
    assert "waiting to be delivered" in first.stdout
    printed = {"printed": "".join((first.stdout, first.stderr, second.stdout, second.stderr)).encode()}
    return printed | {str(file): file.read_bytes() for file in home.rglob("*") if file.is_file()}


@pytest.mark.parametrize("name", PLANTED)
def test_a_secret_of_the_environment_is_in_no_file_log_database_or_alert(told, name: str):
    secret = PLANTED[name].partition("@")[0].rpartition(":")[2].encode()
    assert secret.startswith(b"planted-")
    assert len(told) > 100
    assert [where for where, content in told.items() if secret in content] == []


def test_where_secrets_would_be_seen_is_looked_at(told):
    kept = b"".join(told.values())
    assert all(name in kept for name in (b"json://", b"gate failed", b"reviews.parquet"))
