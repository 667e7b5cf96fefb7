"""Whatever a help desk answers while an event is processed, the event is settled, and nothing raises or gets logged."""

from hypothesis import given

from tests.helpers.hostile import SCENES, Scene


@given(SCENES)
def test_an_event_is_settled_whatever_the_help_desk_answers(scene: Scene) -> None:
    scene.check()
