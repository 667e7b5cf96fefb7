"""Texts as vectors: TF-IDF over words and over groups of letters. Needs the extra `local`."""

from collections.abc import Mapping, Sequence
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import csr_matrix, hstack
from sklearn.feature_extraction.text import TfidfVectorizer  # pyright: ignore[reportMissingTypeStubs]

from triage.errors import DatasetError

MAX_CHARACTERS = 10_000  # of a text; a longer one is a pasted log or an attack, and would take seconds
DECIMALS = 6  # of stored numbers, which makes files smaller and changes no probability by more than 0.0001

_WORDS: Mapping[str, Any] = {"analyzer": "word", "ngram_range": (1, 2)}
_LETTERS: Mapping[str, Any] = {"analyzer": "char_wb", "ngram_range": (2, 5)}
_SETTINGS: Mapping[str, Any] = {"sublinear_tf": True, "strip_accents": "unicode"}
_MAX_WORDS, _MAX_LETTERS = 30_000, 60_000  # the most frequent terms, so that a large data set yields a small file


class Vectorizer:
    """Turns texts into vectors. Words carry the meaning; groups of letters bridge typing errors and inflections.

    Args:
        words: The weight (inverse document frequency) of each word and pair of words.
        letters: The weight of each group of letters.
    """

    def __init__(self, words: Mapping[str, float], letters: Mapping[str, float]) -> None:
        self.words = words
        self.letters = letters
        self._vectorizers = [_restore(_WORDS, words), _restore(_LETTERS, letters)]

    @classmethod
    def fit(cls, texts: Sequence[str], *, min_documents: int) -> Self:
        """Create a vectorizer with the terms of some texts.

        Args:
            texts: The texts.
            min_documents: The number of texts in which a term must occur.

        Raises:
            DatasetError: No word occurs in so many texts.
        """
        prepared = list(map(_prepare, texts))
        words = _fit(prepared, min_df=min_documents, max_features=_MAX_WORDS, **_WORDS)
        letters = _fit(prepared, min_df=min_documents, max_features=_MAX_LETTERS, **_LETTERS)
        return cls(words, letters)

    def transform(self, texts: Sequence[str]) -> csr_matrix:
        """Return a row for each text. A text without any known term yields a row of zeros.

        Args:
            texts: The texts.
        """
        prepared = list(map(_prepare, texts))
        return csr_matrix(hstack([vectorizer.transform(prepared) for vectorizer in self._vectorizers]))


def _prepare(text: str) -> str:
    """Return the beginning and the end of a long text, without lone surrogates, which no file can hold."""
    if len(text) > MAX_CHARACTERS:
        text = f"{text[: MAX_CHARACTERS // 2]} {text[-MAX_CHARACTERS // 2 :]}"
    return text.encode("utf-8", "replace").decode()


def _fit(texts: Sequence[str], *, min_df: int, **settings: Any) -> dict[str, float]:
    """Return the terms of some texts, in alphabetical order, with their weights."""
    vectorizer: Any = TfidfVectorizer(min_df=min_df, **settings, **_SETTINGS)
    try:
        vectorizer.fit(texts)
    except ValueError:
        # scikit-learn raises it if there are fewer texts than min_df, or if no term is left.
        raise DatasetError(
            f"No word occurs in {min_df} of the examples: add more examples."
            if min_df > 1
            else "The examples contain no words: add messages in which customers describe a problem."
        ) from None
    terms: list[str] = vectorizer.get_feature_names_out().tolist()
    idf: NDArray[np.float64] = vectorizer.idf_
    weights: list[float] = np.round(idf, DECIMALS).tolist()
    return dict(zip(terms, weights, strict=True))


def _restore(settings: Mapping[str, Any], terms: Mapping[str, float]) -> Any:
    numbers = {term: number for number, term in enumerate(terms)}
    vectorizer: Any = TfidfVectorizer(vocabulary=numbers, **settings, **_SETTINGS)
    vectorizer.idf_ = np.fromiter(terms.values(), float)
    return vectorizer
