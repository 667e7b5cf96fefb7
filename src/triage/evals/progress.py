"""The lines and the progress bar of an evaluation, on the standard error stream or as a widget in a notebook."""

import sys
import warnings
from functools import cache
from typing import Any

_REDRAW, _REDRAW_IN_LOGS = 0.1, 10.0  # seconds between two updates of the bar


class Progress:
    """Prints lines, and shows a progress bar with the accuracy and the cost so far.

    Args:
        is_shown: False to be silent.
    """

    def __init__(self, *, is_shown: bool) -> None:
        self._is_shown = is_shown
        self._bar: Any = None
        self._right = 0
        self._judged = 0

    def print(self, line: str) -> None:
        """Print a line, above the progress bar if it is shown.

        Args:
            line: The line, without customer text.
        """
        if self._is_shown:
            _import_tqdm().write(line, file=sys.stderr)

    def start(self, total: int) -> None:
        """Show the progress bar.

        Args:
            total: The number of verdicts that the evaluation will have.
        """
        if self._is_shown:
            is_terminal = sys.stderr.isatty()
            is_live = is_terminal or type(sys.stderr).__module__.startswith("ipykernel.")
            self._bar = _import_tqdm()(
                total=total,
                unit=" verdicts",
                dynamic_ncols=is_terminal,
                mininterval=_REDRAW if is_live else _REDRAW_IN_LOGS,
            )

    def advance(self, is_right: bool | None, paid_usd: float | None) -> None:
        """Count a verdict.

        Args:
            is_right: Whether the verdict is right; None if it does not count for the accuracy, as a further sample.
            paid_usd: What the evaluation has cost so far in US dollars; None if it is not known.
        """
        if self._bar is None:
            return
        if is_right is not None:
            self._right += is_right
            self._judged += 1
        facts = {"accuracy": f"{self._right / self._judged:.1%}"} if self._judged else {}
        if paid_usd is not None:
            facts["cost"] = f"${paid_usd:.4f}"
        self._bar.set_postfix(facts, refresh=False)
        self._bar.update()

    def close(self) -> None:
        """Leave the progress bar as it is."""
        if self._bar is not None:
            self._bar.close()


@cache
def _import_tqdm() -> Any:
    """Return the class for a terminal, or for a notebook that can show widgets."""
    with warnings.catch_warnings():
        # In a notebook without ipywidgets, tqdm recommends them. The bar for terminals does the job, too.
        warnings.simplefilter("ignore")
        from tqdm.auto import tqdm
    return tqdm
