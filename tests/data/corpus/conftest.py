"""The small corpus on disk."""

import pytest

from tests.data.corpus.small_corpus import write_corpus_audio


@pytest.fixture
def corpus(tmp_path):
    """A folder with ``audio/``; a test writes the table."""
    return write_corpus_audio(tmp_path / "corpus")
