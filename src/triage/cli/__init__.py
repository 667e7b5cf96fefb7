"""The `triage` command. Needs the extra `cli`."""

import sys


def main() -> None:
    """Run it, or say what is missing."""
    try:
        from triage.cli.commands import triage
    except ModuleNotFoundError as err:
        if err.name != "click":
            raise
        sys.exit("The triage command needs click: pip install 'chat-triage[cli]'")
    triage()
