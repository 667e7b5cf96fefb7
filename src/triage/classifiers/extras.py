"""Optional packages, which are imported when a classifier that needs them is created."""

from collections.abc import Generator
from contextlib import contextmanager

from triage.errors import ConfigurationError


@contextmanager
def require_scikit_learn(user: str) -> Generator[None]:
    """Raise an error that says what to install if an import in the `with` block fails.

    Args:
        user: The name of the class that needs scikit-learn.

    Raises:
        ConfigurationError: scikit-learn is not installed.
    """
    try:
        yield
    except ImportError as err:
        raise ConfigurationError(f"{user} needs scikit-learn: pip install 'chat-triage[local]'.") from err
