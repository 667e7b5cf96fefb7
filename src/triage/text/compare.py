"""Comparing texts that a help desk may have formatted anew."""


def normalize_for_comparison(text: str) -> str:
    """The text without its white space, to see whether two texts say the same: vendors set spaces and lines anew."""
    return "".join(text.split())
