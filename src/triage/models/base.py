"""The base class of the models."""

from pydantic import BaseModel, ConfigDict


class Model(BaseModel):
    """Immutable data that can be stored as JSON."""

    # hide_input_in_errors: a validation error must not carry customer text into a log.
    model_config = ConfigDict(frozen=True, hide_input_in_errors=True)
