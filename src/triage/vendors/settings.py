"""The settings of an adapter, declared as fields.

Each field of a `Settings` class is one setting: an argument of the class, and the environment variable `{NAME}_{FIELD}`
that `from_env` reads. Validation and error messages follow from the field's type and its `description`, which completes
the sentence "access_token must be …". Secrets never appear in a `repr`, in a dump or in an error message.
"""

from collections.abc import Collection, Iterable, Mapping, Sequence
from enum import Enum
from reprlib import repr as shorten
from typing import Annotated, Any, ClassVar, Self, TypeAlias, TypeVar, cast, get_args

from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    PlainSerializer,
    StringConstraints,
    ValidationError,
)
from pydantic_core import ErrorDetails, PydanticCustomError

from triage.environment import read_variable, unquote
from triage.errors import ConfigurationError

T = TypeVar("T")

_EMPTY = frozenset({"empty", "string_too_short", "too_short"})


class _Mark(Enum):
    """A property of a field that its type does not express."""

    SECRET = "secret"  # noqa: S105 - a mark, not a secret
    SEVERAL = "several"
    SIGNS = "signs"


def _unquote_secret(value: object) -> object:
    return unquote(value) if isinstance(value, str) else value


def _check_secret(secret: str) -> str:
    if not secret.isprintable():  # two lines, or an invisible character of a web page
        raise PydanticCustomError("characters", "contains invisible characters")
    return secret


def _normalize_secrets(value: str | Sequence[str]) -> tuple[str, ...]:
    secrets = tuple(unquote(secret) for secret in ([value] if isinstance(value, str) else value))
    if not secrets or not all(secrets):
        raise PydanticCustomError("empty", "is empty")
    return tuple(map(_check_secret, secrets))


def _sort_set(value: Any) -> Any:
    return sorted(cast("Iterable[str]", value)) if isinstance(value, set | frozenset) else value


def _to_tuple(values: Iterable[T]) -> tuple[T, ...]:
    # For a built-in function, pydantic would parse the source text of its signature, which takes several milliseconds.
    return tuple(values)


def _mask(value: object) -> str | None:
    return None if value is None else "**********"


Secret: TypeAlias = Annotated[
    str,
    BeforeValidator(_unquote_secret),
    StringConstraints(min_length=1),
    AfterValidator(_check_secret),
    PlainSerializer(_mask),
    _Mark.SECRET,
]
"""A token or password. Surrounding white space and quotes are removed; an empty one is rejected."""

SigningSecret: TypeAlias = Annotated[
    str | Sequence[str],
    AfterValidator(_normalize_secrets),
    PlainSerializer(_mask),
    Field(description="the secret that signs the webhooks"),
    _Mark.SECRET,
    _Mark.SEVERAL,
    _Mark.SIGNS,
]
"""The secret that signs the webhooks, or several while it is being rotated (`new,old` in the environment)."""

Number: TypeAlias = Annotated[str, StringConstraints(pattern=r"^[0-9]+$"), Field(description="a number")]
"""A numeric id. An `int` is accepted as well."""

ListOf: TypeAlias = Annotated[Sequence[T], BeforeValidator(_sort_set), AfterValidator(_to_tuple), _Mark.SEVERAL]
"""Several values, separated by commas in the environment. A list, tuple or set is accepted, and stored as a tuple."""


class Settings(BaseModel):
    """A frozen set of settings, which reports all invalid settings at once."""

    model_config = ConfigDict(
        frozen=True,
        extra="forbid",
        coerce_numbers_to_str=True,
        str_strip_whitespace=True,
        hide_input_in_errors=True,
    )

    name: ClassVar[str]
    """The vendor's name in lower case, `"helpscout"`. In upper case, it begins the environment variables."""
    title: ClassVar[str]
    """The name as the vendor writes it, `"Help Scout"`."""
    shown: ClassVar[tuple[str, ...]] = ()
    """The settings that `repr()` shows."""

    def __init__(self, /, *args: Any, **settings: Any) -> None:
        if args:
            example = ", ".join(f"{name}=…" for name, field in type(self).model_fields.items() if field.is_required())
            raise ConfigurationError(f"{self.title} takes its settings by name: {type(self).__name__}({example}).")
        problems = _collect_errors(self, settings)
        if problems:
            raise ConfigurationError(self._describe(problems, environment=None))

    @classmethod
    def from_env(cls, **settings: Any) -> Self:
        """Create an adapter from environment variables.

        Read `{NAME}_{SETTING}`, such as `INTERCOM_ACCESS_TOKEN`, for every setting that is not passed, or the file that
        `{NAME}_{SETTING}_FILE` names. Empty variables count as not set. Lists are separated by commas.

        Args:
            settings: Settings that take precedence over the environment.

        Raises:
            ConfigurationError: Required variables are not set, a file cannot be read, or a setting is invalid. The
                message lists all invalid settings.
        """
        adapter = cls.__new__(cls)
        environment = cls._read_environment(settings)
        problems = _collect_errors(adapter, {**environment, **settings})
        if problems:
            raise ConfigurationError(cls._describe(problems, environment))
        return adapter

    @classmethod
    def _read_environment(cls, settings: Collection[str]) -> dict[str, Any]:
        values: dict[str, Any] = {}
        for field in cls.model_fields.keys() - settings:
            text = read_variable(cls._variable(field))
            if text:
                values[field] = _split(text) if cls._is_marked(field, _Mark.SEVERAL) else text
        return values

    @classmethod
    def _variable(cls, field: str) -> str:
        return f"{cls.name}_{field}".upper()

    @classmethod
    def _is_marked(cls, field: str, mark: _Mark) -> bool:
        info = cls.model_fields[field]
        return mark in info.metadata or _has_metadata(info.annotation, mark)

    @classmethod
    def signing_setting(cls) -> str:
        """Return the name of the setting that holds the signing secrets."""
        return next(field for field in cls.model_fields if cls._is_marked(field, _Mark.SIGNS))

    @classmethod
    def setting_labels(cls) -> dict[str, str]:
        """Return the label of each setting in error messages: `"access_token (INTERCOM_ACCESS_TOKEN)"`."""
        return {field: f"{field} ({cls._variable(field)})" for field in cls.model_fields}

    @classmethod
    def _describe(cls, problems: Iterable[ErrorDetails], environment: Collection[str] | None) -> str:
        """Describe each problem in one sentence.

        Args:
            problems: Pydantic's errors.
            environment: The settings that were read from the environment, or None if it was not read.
        """
        missing: list[str] = []
        sentences: list[str] = []
        for problem in problems:
            field = str(next(iter(problem["loc"]), ""))
            if problem["type"] == "missing" and environment is not None:
                missing.append(cls._variable(field))
            else:
                label = cls.setting_labels()[field] if field in (environment or ()) else field
                sentences.append(cls._describe_one(problem, field, label))
        first = [f"Set {', '.join(missing)} in the environment."] if missing else []
        return " ".join(dict.fromkeys(first + sentences))

    @classmethod
    def _describe_one(cls, problem: ErrorDetails, field: str, label: str) -> str:
        match problem["type"]:
            case "extra_forbidden":
                return f"{cls.title} has no setting {field}; its settings are {', '.join(cls.model_fields)}."
            case "value_error":
                return problem["msg"].removeprefix("Value error, ")
            case "missing":
                return f"{cls.title} needs {label}{_continue(' (', cls._description(field), ')')}."
            case kind if kind in _EMPTY:
                return f"{cls.title}'s {label} is empty. Set it{_continue(' to ', cls._description(field))}."
            case "characters":
                return f"{cls.title}'s {label} contains line breaks or other invisible characters. Copy it again."
            case kind:
                expected = problem["msg"].removeprefix("Input should be ")
                if kind != "literal_error":
                    expected = cls._description(field) or expected
                # An address may contain a password, too.
                is_secret = cls._is_marked(field, _Mark.SECRET) or "@" in str(problem["input"])
                value = "" if is_secret else f", not {shorten(problem['input'])}"
                return f"{cls.title}'s {label} must be {expected}{value}."

    @classmethod
    def _description(cls, field: str) -> str:
        return cls.model_fields[field].description or ""

    def __repr_args__(self) -> Iterable[tuple[str | None, Any]]:
        """Show only settings that are never secret."""
        return [(field, getattr(self, field)) for field in self.shown]


def _collect_errors(adapter: Settings, settings: Mapping[str, Any]) -> list[ErrorDetails]:
    """Initialize the fields and return the errors instead of raising them, because they contain secret values."""
    try:
        BaseModel.__init__(adapter, **settings)
    except ValidationError as error:
        return error.errors(include_url=False)
    return []


def _split(text: str) -> list[str]:
    pieces = (unquote(piece) for piece in text.split(","))
    return [piece for piece in pieces if piece]


def _has_metadata(annotation: object, mark: _Mark) -> bool:
    """Return whether `mark` is part of an annotation such as `Secret | None`."""
    return mark in getattr(annotation, "__metadata__", ()) or any(
        _has_metadata(part, mark) for part in get_args(annotation)
    )


def _continue(before: str, text: str, after: str = "") -> str:
    return f"{before}{text}{after}" if text else ""
