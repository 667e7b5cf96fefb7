"""The `triage` command. Needs the extra `cli`."""

import sys


def main() -> None:
    """Run the command, or say which extra it needs."""
    try:
        from triage.cli.app import triage
    except ModuleNotFoundError as err:
        if err.name != "click":
            raise
        sys.exit("The triage command needs click: pip install 'chat-triage[cli]'")
    triage()
