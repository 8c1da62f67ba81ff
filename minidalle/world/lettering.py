"""Words: "a shop front that says 'dog'".

The sceptic's question: can it spell, or does it only know words by heart? Training shows random
letters, three to five of them, so there is no word to remember. Held out are an eighth of all
words, and `ENGLISH`, sixty real ones.
"""

import math

from minidalle.world.ability import Ability, Facts, one_in
from minidalle.world.canvas import Canvas, Colour, Pen, drawing, shade
from minidalle.world.scenes import BACKGROUNDS, COLOURS

ENGLISH = tuple(
    """
    art bee box cat cup day dog egg fox fun hat hot ice jam key map owl pie sun tea
    bike blue book cake city duck fish game gold home jump kiwi lamp milk moon park quiz snow tree
    zero
    apple beach bread chess dance earth fruit grape happy house juice lemon music ocean
    pizza queen river toast water zebra
    """.split()
)
LETTERS = ("first", "second", "third", "fourth", "fifth")

# Each letter is a few lines through points: "06 20 46" goes up from the lower left and down to
# the lower right. The first digit is 0 to 4 from left to right, the second 0 to 6 downwards.
ALPHABET = {
    "a": ("06 20 46", "14 34"),
    "b": ("33 03 00 30 41 42 33 44 45 36 06 03",),
    "c": ("41 30 10 01 05 16 36 45",),
    "d": ("00 20 42 44 26 06 00",),
    "e": ("40 00 06 46", "03 33"),
    "f": ("40 00 06", "03 33"),
    "g": ("41 30 10 01 05 16 36 45 43 23",),
    "h": ("00 06", "40 46", "03 43"),
    "i": ("10 30", "20 26", "16 36"),
    "j": ("20 40 45 36 16 05 04",),
    "k": ("00 06", "40 03 46"),
    "l": ("00 06 46",),
    "m": ("06 00 23 40 46",),
    "n": ("06 00 46 40",),
    "o": ("10 30 41 45 36 16 05 01 10",),
    "p": ("06 00 30 41 42 33 03",),
    "q": ("10 30 41 45 36 16 05 01 10", "24 46"),
    "r": ("06 00 30 41 42 33 03", "23 46"),
    "s": ("41 30 10 01 02 13 33 44 45 36 16 05",),
    "t": ("00 40", "20 26"),
    "u": ("00 05 16 36 45 40",),
    "v": ("00 26 40",),
    "w": ("00 06 23 46 40",),
    "x": ("00 46", "40 06"),
    "y": ("00 23 40", "23 26"),
    "z": ("00 40 06 46",),
}
INK, PAPER = (30, 30, 70), (255, 250, 235)
WALL, WOOD, GLASS, CARD = (240, 205, 160), (130, 85, 50), (165, 220, 240), (215, 170, 115)


@drawing
def letter(pen: Pen, name: str) -> None:
    """A capital, 10 units wide and 16 high, in the middle of a box of 16 by 16."""
    thick = 2.6
    for stroke in ALPHABET[name]:
        points = [
            (3 + thick / 2 + 1.85 * int(point[0]), thick / 2 + 2.23 * int(point[1]))
            for point in stroke.split()
        ]
        pen.line([(x / 16, y / 16) for x, y in points], thick / 16, INK)


@drawing
def flower(pen: Pen, colour: Colour) -> None:
    """What stands in the place of a letter that the word does not have."""
    for turn in range(5):
        angle = math.radians(72 * turn - 90)
        x, y = 0.5 + 0.2 * math.cos(angle), 0.5 + 0.2 * math.sin(angle)
        pen.ellipse(x - 0.14, y - 0.14, x + 0.14, y + 0.14, colour)
    pen.ellipse(0.37, 0.37, 0.63, 0.63, (250, 210, 20))


class Units:
    """A pen for a whole picture, that takes units."""

    def __init__(self, pen: Pen):
        self.pen = pen

    def box(self, left, top, right, bottom, colour: Colour, radius: float = 0) -> None:
        self.pen.box(left / 64, top / 64, right / 64, bottom / 64, colour, radius / 64)

    def polygon(self, points, colour: Colour) -> None:
        self.pen.polygon([(x / 64, y / 64) for x, y in points], colour)

    def ellipse(self, left, top, right, bottom, colour: Colour) -> None:
        self.pen.ellipse(left / 64, top / 64, right / 64, bottom / 64, colour)


@drawing
def shop_front(pen: Pen, colour: Colour) -> None:
    """A shop: the sign, a striped awning, a window with flowers, a door."""
    ink = Units(pen)
    ink.box(0, 4, 64, 64, WALL)
    ink.box(0, 4, 64, 8, shade(WALL, -0.3))
    ink.box(0, 60, 64, 64, (165, 165, 170))  # the pavement
    ink.box(4, 40, 36, 56, shade(colour, -0.35), 1)  # the window
    ink.box(6, 40, 34, 54, GLASS)
    ink.polygon([(12, 54), (20, 40), (26, 40), (18, 54)], shade(GLASS, 0.6))
    ink.box(44, 40, 60, 60, shade(colour, -0.35), 1)  # the door
    ink.box(47, 40, 57, 52, GLASS)
    ink.ellipse(56, 53, 59, 56, (250, 210, 20))
    ink.box(4, 56, 36, 60, WOOD, 1)
    for stripe in range(8):
        own = colour if stripe % 2 == 0 else PAPER
        left = 8 * stripe
        ink.box(left, 32, left + 8, 42, own)
        ink.ellipse(left, 38, left + 8, 46, own)
    ink.box(0, 30, 64, 34, shade(colour, -0.35))
    board(ink, colour)


def board(ink: Units, colour: Colour) -> None:
    """Where the word stands."""
    ink.box(0, 8, 64, 32, shade(colour, -0.35), 2)
    ink.box(1, 10, 63, 30, PAPER, 1)


@drawing
def sign(pen: Pen, colour: Colour) -> None:
    """A sign on two posts, in the grass."""
    ink = Units(pen)
    for left in (12, 46):
        ink.box(left, 28, left + 6, 60, WOOD)
        ink.box(left, 28, left + 2, 60, shade(WOOD, 0.25))
    board(ink, colour)
    ink.box(0, 4, 64, 10, shade(colour, -0.35), 2)
    ink.box(0, 30, 64, 36, shade(colour, -0.35), 2)
    ink.box(0, 56, 64, 64, (95, 175, 80))
    for left in range(0, 64, 8):
        ink.polygon([(left, 57), (left + 4, 51), (left + 8, 57)], (95, 175, 80))


@drawing
def t_shirt(pen: Pen, colour: Colour) -> None:
    """A wide t-shirt with a pale band across the chest."""
    ink, dark = Units(pen), shade(colour, -0.35)
    for hem, cloth in ((0, dark), (2, colour)):  # the edge, then the cloth inside it
        sleeves = 38 - hem
        ink.polygon([(16, 2), (48, 2), (64, 8), (64, sleeves), (0, sleeves), (0, 8)], cloth)
        ink.box(8 + hem, 20, 56 - hem, 64 - hem, cloth, 1)
    ink.ellipse(20, -8, 44, 8, dark)
    ink.ellipse(23, -8, 41, 5, None)
    ink.box(0, 8, 64, 32, dark)
    ink.box(0, 10, 64, 30, PAPER)


@drawing
def poster(pen: Pen, colour: Colour) -> None:
    """A poster of a sunrise over hills, pinned to the wall."""
    ink = Units(pen)
    ink.box(0, 4, 64, 64, shade(colour, -0.35))
    ink.box(2, 6, 62, 62, PAPER)
    ink.box(2, 34, 62, 62, shade(colour, 0.6))
    ink.ellipse(20, 38, 44, 62, (255, 200, 40))
    ink.polygon([(2, 62), (2, 54), (20, 46), (42, 62)], shade(colour, -0.15))
    ink.polygon([(24, 62), (48, 48), (62, 56), (62, 62)], colour)


@drawing
def box(pen: Pen, colour: Colour) -> None:
    """A cardboard box with a label, a ribbon and a bow."""
    ink, dark = Units(pen), shade(colour, -0.35)
    ink.box(0, 6, 64, 64, shade(CARD, -0.35), 2)
    ink.box(2, 6, 62, 62, CARD, 1)
    ink.box(26, 6, 38, 62, colour)
    ink.box(0, 8, 64, 32, shade(CARD, -0.35))
    ink.box(0, 10, 64, 30, PAPER)
    for side in (-1, 1):  # the bow
        ink.polygon([(32, 41), (32 + side * 20, 33), (32 + side * 20, 51), (32, 45)], dark)
        ink.polygon([(32, 41), (32 + side * 17, 36), (32 + side * 17, 48), (32, 45)], colour)
    ink.box(27, 37, 37, 49, dark, 3)


SURFACES = {
    "shop front": shop_front,
    "sign": sign,
    "t-shirt": t_shirt,
    "poster": poster,
    "box": box,
}


def draw(size: int, background: str, colour: str, surface: str, **letters: str):
    """A surface, and the word in its place."""
    canvas = Canvas(size, BACKGROUNDS[background])
    canvas.put(SURFACES[surface](COLOURS[colour]), 0, 0, 64)
    for place, name in enumerate(LETTERS):
        mark = letter(letters[name]) if name in letters else flower(COLOURS[colour])
        canvas.put(mark, 12 * place, 12, 16)
    return canvas.picture()


def word_of(facts: Facts) -> str:
    """The word that is to be read."""
    return "".join(facts[name] for name in LETTERS if name in facts)


def held_out(facts: Facts) -> bool:
    """An eighth of all words, and all English ones of the list."""
    return word_of(facts) in ENGLISH or one_in(8, word_of(facts))


WORDS = Ability(
    "words",
    fields={"surface": tuple(SURFACES)} | {name: tuple(ALPHABET) for name in LETTERS},
    free={
        "background": ("yellow", "green", "blue", "pink"),
        "colour": ("red", "green", "blue", "purple"),
    },
    templates=tuple(
        "{a surface} that says '" + "".join(f"{{{name}}}" for name in LETTERS[:count]) + "'"
        for count in (3, 4, 5)
    ),
    draw=draw,
    held_out=held_out,
    kind_of=lambda facts: f"{len(facts) - 1} letters",
)
