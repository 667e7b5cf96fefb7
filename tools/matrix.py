"""Write the table of supported actions to docs/vendors/index.md, from the declarations of the adapters.

Run `python tools/matrix.py` after changing an adapter; a test fails while the page differs.
"""

from pathlib import Path

import triage.vendors
from triage.actions import ACTIONS as ALL_ACTIONS
from triage.actions import Run

PAGE = Path(__file__).parents[1] / "docs" / "vendors" / "index.md"
ACTIONS = [action for action in ALL_ACTIONS if action is not Run]  # it calls the user's own code
START, END = "<!-- made by tools/matrix.py -->\n", "<!-- up to here -->\n"


def build_table() -> str:
    """Return the table in Markdown, followed by the alternatives to unsupported actions."""
    vendors = {name: getattr(triage.vendors, name) for name in triage.vendors.__all__}
    titles = [f"[{name}]({vendor.name}.md)" for name, vendor in vendors.items()]
    lines = ["| | " + " | ".join(titles) + " |", "| --- |" + " :-: |" * len(vendors)]
    for action in ACTIONS:
        marks = ["✓" if action in vendor.can else "\N{EN DASH}" for vendor in vendors.values()]
        lines.append(f"| `{action.__name__}` | " + " | ".join(marks) + " |")
    alternatives = [
        f"- {name} has no `{action.__name__}`: {vendor.instead[action]}"
        for action in ACTIONS
        for name, vendor in vendors.items()
        if action in vendor.instead
    ]
    return "\n".join([*lines, "", *alternatives]) + "\n"


def update_page(text: str) -> str:
    """Return the page with the current table.

    Args:
        text: The current content of the page.
    """
    before, _, rest = text.partition(START)
    return f"{before}{START}\n{build_table()}\n{END}{rest.partition(END)[2]}"


if __name__ == "__main__":
    PAGE.write_text(update_page(PAGE.read_text("utf-8")), "utf-8")
