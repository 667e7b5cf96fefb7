"""Compare texts that a help desk may have reformatted."""


def normalize_for_comparison(text: str) -> str:
    """Return the text without white space, because vendors change spaces and line breaks."""
    return "".join(text.split())
