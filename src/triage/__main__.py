"""Run the `triage` command as `python -m triage`, for when it is not on the path."""

from triage.cli import main

main()
