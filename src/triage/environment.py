"""Environment variables that contain secrets and other settings."""

import os
import re
from pathlib import Path

from triage.errors import ConfigurationError

_QUOTED = re.compile(r"(['\"])((?:(?!\1).)*)\1", re.DOTALL)


def unquote(text: str) -> str:
    """Remove white space and quotes that were copied along with a value.

    `docker --env-file` keeps quotes, and a file usually ends with a newline.

    Args:
        text: The value.
    """
    text = text.strip()
    quoted = _QUOTED.fullmatch(text)
    return quoted[2].strip() if quoted else text


def read_variable(name: str) -> str:
    """Return the value of an environment variable, or the content of the file that `{name}_FILE` names.

    Docker and Kubernetes mount secrets as files.

    Args:
        name: The variable's name.

    Returns:
        The value without surrounding white space and quotes; empty if neither variable is set.

    Raises:
        ConfigurationError: Both variables are set, or the file is empty or cannot be read.
    """
    value = unquote(os.environ.get(name, ""))
    path = unquote(os.environ.get(f"{name}_FILE", ""))
    if not path:
        return value
    if value:
        raise ConfigurationError(f"{name} and {name}_FILE are both set. Remove one of them.")
    try:
        content = unquote(Path(path).read_text("utf-8-sig"))
    except OSError as err:
        raise ConfigurationError(f"{name}_FILE: {path} cannot be read ({err.strerror}).") from None
    except ValueError:
        raise ConfigurationError(f"{name}_FILE: {path} does not contain UTF-8 text.") from None
    if not content:
        raise ConfigurationError(f"{name}_FILE: {path} is empty.")
    return content
