"""The table of abilities: what a model of 64×64 pictures is trained on and measured by."""

from minidalle.world.ability import Ability, Facts
from minidalle.world.halves import HALVES
from minidalle.world.hybrids import CHAIRS
from minidalle.world.materials import MATERIALS
from minidalle.world.stacks import STACKS
from minidalle.world.walks import WALKS

ABILITIES = {ability.name: ability for ability in (STACKS, CHAIRS, MATERIALS, HALVES, WALKS)}


def parse(caption: str) -> tuple[Ability, Facts]:
    """The ability that a caption belongs to, and its facts. Raises ValueError if there is none."""
    for ability in ABILITIES.values():
        try:
            return ability, ability.parse(caption)
        except ValueError:
            pass
    raise ValueError(f"{caption!r} is no caption of this world")
