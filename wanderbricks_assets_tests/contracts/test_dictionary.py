from pathlib import Path

from wanderbricks_assets.contracts.dictionary import data_dictionary


def test_the_data_dictionary_in_the_docs_is_what_the_contracts_say():
    written = Path(__file__).parents[2] / "docs" / "data-dictionary.md"
    assert written.read_text() == data_dictionary()
