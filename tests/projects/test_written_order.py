"""Fields are shown, and schemas read back, in the order somebody wrote them."""

from tests.world import World

FIELDS = {"zip": {"type": "string"}, "a": {"type": "number"}, "middle": {"type": "date"}}


def test_a_label_schema_keeps_its_order(world: World) -> None:
    world.make_project("forms", "fields", label_schema={"fields": FIELDS})
    found = world.api("otto").get("/projects/forms/").expect(200)
    assert list(found["label_schema"]["fields"]) == ["zip", "a", "middle"]
