"""Fuzz what the vendors' APIs answer, guided by coverage: `python -m tests.fuzz.responses SECONDS`.

It needs `atheris`. Each input becomes a message and changes to the responses that its processing causes: other
statuses, headers, encodings and bodies, or no response at all. `tests.helpers.hostile` checks what must hold then. The
exit code is 0 if no input violates it. Otherwise the input is saved to a file, and
`python -m tests.fuzz.responses 0 FILE` shows the failure again.

    python -m tests.fuzz.responses 60                 one minute
    python -m tests.fuzz.responses 60 --seed 7        with other random numbers
    python -m tests.fuzz.responses 60 corpus/         reuse and collect inputs; libFuzzer options may follow
"""

import importlib
from typing import Any

from hypothesis import given, settings

from tests.fuzz.running import run

atheris: Any = importlib.import_module("atheris")  # imported by name because it is optional and has no type hints

with atheris.instrument_imports(include=["triage"]):
    from tests.helpers.hostile import SCENES, Scene

_LONGEST = 2048  # bytes of an input


@settings(deadline=None, database=None)
@given(SCENES)
def check(scene: Scene) -> None:
    """Check one scene."""
    scene.check()


def main() -> None:
    """Fuzz until the time is up; libFuzzer exits the process."""
    test: Any = check
    run(test.hypothesis.fuzz_one_input, "responses", longest=_LONGEST)  # it creates a scene from the bytes of an input


if __name__ == "__main__":
    main()
