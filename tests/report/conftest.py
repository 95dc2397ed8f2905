"""What tests of plots share."""

import pytest


@pytest.fixture
def figures(monkeypatch) -> list:
    """The figures that are made meanwhile, in order."""
    figure_module = pytest.importorskip("matplotlib.figure")
    made = []

    class Kept(figure_module.Figure):
        def __init__(self, *args, **kwargs):
            super().__init__(*args, **kwargs)
            made.append(self)

    monkeypatch.setattr(figure_module, "Figure", Kept)
    return made
