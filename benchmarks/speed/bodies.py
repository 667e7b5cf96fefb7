"""Bodies of webhooks with a given size."""

from collections.abc import Callable

SIZE = 4096  # bytes

_MESSAGE = """\
Hello,

I was charged twice for order 1042 on Tuesday, once with my card and once with the balance of my account. The second
payment does not show up in the list of invoices, only in my bank's app.

I have tried to find out what happened: the page of the order says "paid", and the receipt that I got by email has the
number 2231. Could you please check this and send one of the two payments back?

We also wanted to change from the monthly plan to the yearly one. Is that possible without a new contract?

"""


def write_text(length: int) -> str:
    """Return a message with a number of characters."""
    return (_MESSAGE * (length // len(_MESSAGE) + 1))[:length]


def fit_text(measure: Callable[[str], int], size: int = SIZE) -> str:
    """Return a text with which a body has about a given size, or a short one if the text does not change the size.

    Args:
        measure: Returns the size of the body with a text.
        size: The size in bytes.
    """
    short, longer = write_text(100), write_text(2_000)
    growth = (measure(longer) - measure(short)) / 1_900  # some bodies contain the text more than once
    missing = size - measure(short)
    return write_text(100 + int(missing / growth)) if growth > 0 and missing > 0 else short
