"""The table of abilities: what a model of 64×64 pictures is trained on and measured by."""

from minidalle.world.ability import Ability, Facts
from minidalle.world.stacks import STACKS

ABILITIES = {ability.name: ability for ability in (STACKS,)}


def parse(caption: str) -> tuple[Ability, Facts]:
    """The ability that a caption belongs to, and its facts. Raises ValueError if there is none."""
    for ability in ABILITIES.values():
        try:
            return ability, ability.parse(caption)
        except ValueError:
            pass
    raise ValueError(f"{caption!r} is no caption of this world")
