"""Corpora in common formats (tables, Kaldi, Hugging Face, lhotse) to Kaldi directories."""

from peft_asr.data.corpus.imported import Imported, import_corpus, list_sets
from peft_asr.data.corpus.read import read_corpus
from peft_asr.data.corpus.rows import Embedded, Listing, Row

__all__ = ["Embedded", "Imported", "Listing", "Row", "import_corpus", "list_sets", "read_corpus"]
