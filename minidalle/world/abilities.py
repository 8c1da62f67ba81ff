"""The table of abilities: what a model of 64×64 pictures is trained on and measured by."""

from minidalle.world.ability import Ability, Facts
from minidalle.world.attributes import ATTRIBUTES, HABITS, OUTLINES
from minidalle.world.copies import COPIES
from minidalle.world.counting import NUMBERS
from minidalle.world.daylight import DAYLIGHT
from minidalle.world.dishes import DISHES
from minidalle.world.eras import ERAS
from minidalle.world.halves import HALVES
from minidalle.world.hybrids import CHAIRS
from minidalle.world.lettering import WORDS
from minidalle.world.materials import MATERIALS
from minidalle.world.matrices import MATRICES
from minidalle.world.outfits import OUTFITS
from minidalle.world.relations import RELATIONS, ROWS
from minidalle.world.rooms import ROOMS
from minidalle.world.stacks import STACKS
from minidalle.world.views import VIEWS
from minidalle.world.walks import WALKS

ABILITIES = {
    ability.name: ability
    for ability in (
        *(ATTRIBUTES, OUTLINES, HABITS),  # one thing
        *(OUTFITS, RELATIONS, ROWS, STACKS, NUMBERS),  # several
        *(CHAIRS, MATERIALS, HALVES, WALKS),  # invented
        *(ERAS, VIEWS, DISHES),  # of another time, seen otherwise, from elsewhere
        *(DAYLIGHT, ROOMS, WORDS),  # inferred, referred to, written
        *(COPIES, MATRICES),  # begun by somebody else
    )
}


def parse(caption: str) -> tuple[Ability, Facts]:
    """The ability that a caption belongs to, and its facts. Raises ValueError if there is none."""
    for ability in ABILITIES.values():
        try:
            return ability, ability.parse(caption)
        except ValueError:
            pass
    raise ValueError(f"{caption!r} is no caption of this world")
