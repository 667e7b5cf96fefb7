"""The base class of models that users construct in code, with error messages that say what to write instead."""

import re
from typing import Any, ClassVar

from pydantic import BaseModel, ConfigDict, ValidationError

from triage.errors import ConfigurationError

_PRINTABLE_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]{0,39}")


class StrictModel(BaseModel):
    """A frozen model whose constructor explains every mistake in plain words.

    Loading stored JSON (`model_validate_json`) raises pydantic's `ValidationError`, as for any other model, so that an
    inbox can handle a row that it cannot read.
    """

    # hide_input_in_errors: a validation error must not carry customer text into a log.
    model_config = ConfigDict(frozen=True, hide_input_in_errors=True)

    example: ClassVar[str]
    """A correct example, with which every error message ends."""

    def __init__(self, /, *args: Any, **fields: Any) -> None:
        cls = type(self)
        if args:
            fields = cls._bind(args, fields)
        problems = [describe_unknown_field(cls, name) for name in fields if name not in cls.model_fields]
        try:
            super().__init__(**{name: value for name, value in fields.items() if name in cls.model_fields})
        except ValidationError as error:
            problems += map(_describe_problem, error.errors(include_url=False, include_input=False))
        if problems:
            raise cls._build_error("; ".join(problems)) from None

    # Pydantic then loads JSON without calling this constructor, and reports problems as a ValidationError.
    vars(__init__)["__pydantic_base_init__"] = True

    @classmethod
    def _bind(cls, args: tuple[Any, ...], fields: dict[str, Any]) -> dict[str, Any]:
        """Return positional and keyword arguments by field name."""
        raise cls._build_error("it takes no positional arguments")

    @classmethod
    def _build_error(cls, problem: str) -> ConfigurationError:
        return ConfigurationError(f"{cls.__name__}: {problem}. Write {cls.example}.")


def describe_unknown_field(model: type[BaseModel], name: str) -> str:
    """Return an error message about a field that a model does not have.

    Args:
        model: The model.
        name: The unknown name.
    """
    fields = ", ".join(field for field in model.model_fields if field != "type")
    allowed = f"its fields are {fields}" if fields else "it has none"
    # The name may come from a model's answer (`Verdict(**answer)`), so it is shown only if it looks like a name.
    shown = repr(name) if _PRINTABLE_NAME.fullmatch(name) else "of that name"
    return f"there is no field {shown}; {allowed}"


def _describe_problem(problem: Any) -> str:
    first, *others = problem["loc"] or ("",)
    place = f"{first}{''.join(f'[{part!r}]' for part in others)} ".lstrip()
    if problem["type"] == "missing":
        return f"{place}is missing"
    return place + str(problem["msg"]).replace("Input should be", "must be")
