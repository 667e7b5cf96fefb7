"""A griffe extension for the reference: show the arguments that pydantic derives from an adapter's fields.

griffe reads the source and does not run it. Without this extension it would show `Intercom(**settings)`.
"""

from collections.abc import Iterator
from typing import Any

import griffe

BASE = "triage.vendors.settings.Settings"


class SettingsSignatures(griffe.Extension):
    """Adds an `__init__` with keyword arguments to each subclass of `Settings`."""

    def on_package(self, *, pkg: griffe.Module, **kwargs: Any) -> None:
        """Handle all classes of `triage.vendors` as soon as the package is loaded."""
        for module in pkg["vendors"].modules.values():
            for adapter in module.classes.values():
                if not adapter.is_alias and any(base.path == BASE for base in list_bases(adapter)):
                    adapter.set_member("__init__", build_init(adapter))


def list_bases(adapter: griffe.Class) -> Iterator[griffe.Class]:
    """Yield the base classes that are defined in this package, the nearest first."""
    for base in adapter.resolved_bases:
        if isinstance(base, griffe.Class):
            yield base
            yield from list_bases(base)


def build_init(adapter: griffe.Class) -> griffe.Function:
    """Build the `__init__` of an adapter: required fields first, those of its base classes last."""
    fields: dict[str, griffe.Parameter] = {}
    for cls in (adapter, *list_bases(adapter)):
        for field in list_fields(cls):
            fields.setdefault(field.name, field)
    ordered = sorted(fields.values(), key=lambda field: (field.default is not None, field.name not in adapter.members))
    this = griffe.Parameter("self", kind=griffe.ParameterKind.positional_or_keyword)
    return griffe.Function("__init__", parameters=griffe.Parameters(this, *ordered), parent=adapter)


def list_fields(adapter: griffe.Class) -> Iterator[griffe.Parameter]:
    """Yield the fields that a class declares, as keyword-only parameters."""
    for member in adapter.attributes.values():
        annotation = member.annotation
        is_field = "instance-attribute" in member.labels and "property" not in member.labels
        if is_field and annotation is not None and str(annotation) != "ClassVar":
            yield griffe.Parameter(
                member.name,
                annotation=remove_annotated(annotation),
                kind=griffe.ParameterKind.keyword_only,
                default=find_default(member.value),
            )


def remove_annotated(annotation: Any) -> Any:
    """Return `X` for `Annotated[X, …]`."""
    if isinstance(annotation, griffe.ExprSubscript) and str(annotation.left) == "Annotated":
        return annotation.slice.elements[0] if isinstance(annotation.slice, griffe.ExprTuple) else annotation.slice
    return annotation


def find_default(value: Any) -> Any:
    """Return the default of a field, or None if it is required."""
    if not isinstance(value, griffe.ExprCall) or str(value.function) != "Field":
        return value
    keywords = [argument for argument in value.arguments if isinstance(argument, griffe.ExprKeyword)]
    return next((keyword.value for keyword in keywords if keyword.name == "default"), None)
