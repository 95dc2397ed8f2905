"""The toy recipe as a fixture."""

import pytest

from tests.shell.toy_recipe import ToyRecipe


@pytest.fixture
def toy(tmp_path) -> ToyRecipe:
    """A new toy recipe."""
    return ToyRecipe(tmp_path)
