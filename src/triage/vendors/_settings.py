"""Reading settings out of the environment."""

import os

from triage.errors import ConfigurationError


def required(*names: str) -> list[str]:
    """The values of variables that must be there.

    Args:
        names: The variables.

    Raises:
        ConfigurationError: Some are not set, or empty; it names them all.
    """
    missing = [name for name in names if not os.environ.get(name)]
    if missing:
        raise ConfigurationError(f"Set {', '.join(missing)} in the environment.")
    return [os.environ[name] for name in names]
