"""The base class of the models."""

from typing import Any

from pydantic import BaseModel, ConfigDict

from triage.errors import ConfigurationError
from triage.validation import describe_unknown_field


class Model(BaseModel):
    """Immutable data that can be stored as JSON.

    The constructor rejects unknown fields, because a misspelled one would be missing without notice. Loading stored
    JSON ignores them, because a later version may have written it.

    Raises:
        ConfigurationError: There is no field of that name.
    """

    # hide_input_in_errors: a validation error must not carry customer text into a log.
    # cache_strings: pydantic would keep thousands of short values, such as ids and names, for other JSON.
    model_config = ConfigDict(frozen=True, hide_input_in_errors=True, cache_strings="keys")

    def __init__(self, /, **fields: Any) -> None:
        cls = type(self)
        # Not `model_fields`: the descriptor of that property takes longer than all the rest of this method.
        known = cls.__pydantic_fields__.keys()
        if not fields.keys() <= known:
            unknown = min(fields.keys() - known)
            raise ConfigurationError(f"{cls.__name__}: {describe_unknown_field(cls, unknown)}.")
        super().__init__(**fields)

    # Pydantic then loads JSON without calling this constructor.
    vars(__init__)["__pydantic_base_init__"] = True
