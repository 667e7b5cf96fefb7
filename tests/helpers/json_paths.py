"""Paths to the parts of a JSON value."""

from collections.abc import Iterator


def iterate_paths(value: object, path: tuple[str | int, ...] = ()) -> Iterator[tuple[str | int, ...]]:
    """Yield the path to each part of a value, except to the value itself."""
    if path:
        yield path
    children = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for name, child in children:
        yield from iterate_paths(child, (*path, name))
