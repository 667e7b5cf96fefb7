"""Download the OpenAPI descriptions that Front and Zendesk publish, for the tests: `python tools/specs.py DIRECTORY`.

Neither publisher states a license, so the repository has no copy of them. (Intercom's are MIT-licensed and are in
`tests/specs`.) Only the paths that the tests call are stored, with everything that these refer to.
"""

import argparse
import json
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import httpx
import yaml

FRONT = (
    "https://raw.githubusercontent.com/frontapp/front-api-specs"
    "/f8f5386f91ee6fd1c3a393a2a02641e217b08032/core-api/core-api.json"
)
ZENDESK = "https://developer.zendesk.com/zendesk/oas.yaml"

FRONT_PATHS = (
    "/me",
    "/conversations/{conversation_id}",
    "/conversations/{conversation_id}/comments",
    "/conversations/{conversation_id}/messages",
    "/conversations/{conversation_id}/tags",
    "/teammates",
    "/inboxes",
    "/channels",
    "/company/tags",
)
ZENDESK_PATHS = (
    "/api/v2/tickets/{ticket_id}",
    "/api/v2/tickets/{ticket_id}/mark_as_spam",
    "/api/v2/tickets/{ticket_id}/tags",
    "/api/v2/tickets/{ticket_id}/comments",
    "/api/v2/tickets/{ticket_id}/audits",
    "/api/v2/groups",
    "/api/v2/users/me",
)


class Loader(yaml.SafeLoader):
    """A loader of YAML 1.2, in which a lone `=` is an ordinary string."""


def _construct_string(loader: yaml.SafeLoader, node: yaml.ScalarNode) -> str:
    return str(loader.construct_scalar(node))


Loader.add_constructor("tag:yaml.org,2002:value", _construct_string)


def download(url: str) -> Any:
    """Download and parse a description; exit with a message if that fails."""
    try:
        response = httpx.get(url, timeout=60, follow_redirects=True)
        response.raise_for_status()
    except httpx.HTTPError as err:
        sys.exit(f"{url} cannot be downloaded: {err}. The tests that need it are skipped without it.")
    if url.endswith(".json"):
        return json.loads(response.content)
    return yaml.load(response.content, Loader)  # noqa: S506 - it is a safe loader


def trim(document: dict[str, Any], paths: Sequence[str]) -> dict[str, Any]:
    """Return the description of `paths` alone, with the components that they refer to.

    Raises:
        SystemExit: The publisher no longer describes one of the paths.
    """
    missing = [path for path in paths if path not in document["paths"]]
    if missing:
        sys.exit(f"the description has no path {', '.join(missing)}: adapt tools/specs.py and the tests")
    kept: dict[str, Any] = {
        path: _without_foreign_parameters(path, document["paths"][path], document) for path in paths
    }
    components: dict[str, dict[str, Any]] = {"securitySchemes": document["components"].get("securitySchemes", {})}
    pending = list(_find_references(kept))
    while pending:
        _, _, kind, name = pending.pop().split("/")
        if name not in components.setdefault(kind, {}):
            components[kind][name] = document["components"][kind][name]
            pending += _find_references(components[kind][name])
    return {**document, "paths": kept, "components": components}


def _find_references(value: Any) -> Iterator[str]:
    if isinstance(value, dict):
        reference = value.get("$ref")
        if isinstance(reference, str):
            yield reference
        for child in value.values():
            yield from _find_references(child)
    elif isinstance(value, list):
        for child in value:
            yield from _find_references(child)


def _without_foreign_parameters(path: str, item: dict[str, Any], document: dict[str, Any]) -> dict[str, Any]:
    """Drop path parameters that the path lacks: Zendesk declares `user_id` for `/api/v2/groups`."""

    def belongs(parameter: dict[str, Any]) -> bool:
        name = parameter.get("$ref", "").rpartition("/")[2]
        described = document["components"]["parameters"][name] if name else parameter
        return described["in"] != "path" or f"{{{described['name']}}}" in path

    def clean(operation: Any) -> Any:
        if not isinstance(operation, dict) or "parameters" not in operation:
            return operation
        return {**operation, "parameters": [one for one in operation["parameters"] if belongs(one)]}

    return {name: clean(operation) for name, operation in clean(item).items()}


def main() -> None:
    """Download all descriptions into the directory."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("directory", type=Path)
    directory: Path = parser.parse_args().directory
    front = trim(download(FRONT), FRONT_PATHS)
    zendesk = trim(download(ZENDESK), ZENDESK_PATHS)
    directory.mkdir(parents=True, exist_ok=True)
    (directory / "front-core.json").write_text(json.dumps(front, indent=1), "utf-8")
    (directory / "zendesk-support.yaml").write_text(yaml.safe_dump(zendesk, allow_unicode=True), "utf-8")
    print(f"front-core.json and zendesk-support.yaml are in {directory}")


if __name__ == "__main__":
    main()
