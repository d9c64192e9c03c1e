import subprocess
import sys

from bench.accuracy.rivals import RIVALS
from wanderbricks_assets.models.all import MODELS


def test_every_model_has_a_public_method_to_beat():
    assert list(RIVALS) == list(MODELS)


def test_the_accuracy_table_of_a_folder_that_is_no_home_says_how_to_make_one(tmp_path):
    command = [sys.executable, "-m", "bench.accuracy", "--home", str(tmp_path / "nowhere")]
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode == 1
    assert "nowhere is no home: make one with `wanderbricks run" in done.stderr
