"""Write the table of what each help desk can do into docs/vendors/index.md, from the adapters' own declarations.

Run it with `python tools/matrix.py` after a change of an adapter; a test fails while the page differs.
"""

from pathlib import Path

import triage.vendors
from triage.actions import ACTIONS

PAGE = Path(__file__).parents[1] / "docs" / "vendors" / "index.md"
START, END = "<!-- made by tools/matrix.py -->\n", "<!-- up to here -->\n"


def table() -> str:
    """The table in Markdown, and below it what to use in place of what is not there."""
    vendors = {name: getattr(triage.vendors, name) for name in triage.vendors.__all__}
    titles = [f"[{name}]({vendor.name}.md)" for name, vendor in vendors.items()]
    lines = ["| | " + " | ".join(titles) + " |", "| --- |" + " :-: |" * len(vendors)]
    for action in ACTIONS:
        marks = ["✓" if action in vendor.can else "\N{EN DASH}" for vendor in vendors.values()]
        lines.append(f"| `{action.__name__}` | " + " | ".join(marks) + " |")
    instead = [
        f"- {name} has no `{action.__name__}`: {vendor.instead[action]}"
        for action in ACTIONS
        for name, vendor in vendors.items()
        if action in vendor.instead
    ]
    return "\n".join([*lines, "", *instead]) + "\n"


def page(text: str) -> str:
    """The page with the table of today in it.

    Args:
        text: The page as it stands.
    """
    before, _, rest = text.partition(START)
    return f"{before}{START}\n{table()}\n{END}{rest.partition(END)[2]}"


if __name__ == "__main__":
    PAGE.write_text(page(PAGE.read_text("utf-8")), "utf-8")
