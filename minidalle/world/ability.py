"""What every ability has: captions, facts, pictures, and which of them training never shows.

An ability is a family of captions such as

    a penguin with a red hat, yellow gloves, a blue shirt and green trousers

Its facts are a dict from fields to values, {"animal": "penguin", "hat": "red", …}. A caption
says some of them; what it leaves open (the place of the penguin) is `free` and may be anything.
Facts → caption is `caption_of`, caption → facts is `parse`, facts → picture is `paint`, and
picture → facts is in `reader.py`. Each ability has a file of its own, which holds little more
than the table of its fields and the code that draws it.
"""

import re
from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from itertools import product
from random import Random
from zlib import crc32

import numpy as np

Facts = dict[str, str]


@dataclass(frozen=True, eq=False)
class Ability:
    """One family of captions.

    A template names fields in braces: "a {hat} hat"; "{a hat} hat" puts "a" or "an" before the
    value, and "{many animal}" gives its plural. The first template whose fields are just those of
    the facts gives the caption. A field that a caption does not name is absent from the picture,
    or, if it is free, left open.

    With a `box`, the picture is begun for the model, which draws the rest. What only the given
    part tells, such as the rule of a puzzle, is `given`: among the facts, but not in a caption.
    """

    name: str
    fields: dict[str, tuple[str, ...]]  # what captions say, and what there is to choose from
    free: dict[str, tuple]  # the same for what captions leave open, or may leave open
    templates: tuple[str, ...]
    draw: Callable[..., np.ndarray]  # draw(size, **fields, **free) → uint8 (size, size, 3)
    held_out: Callable[[Facts], bool]  # a pure function: does training never show these facts?
    valid: Callable[[Facts], bool] = lambda facts: True  # can these facts be drawn and told apart?
    canonical: Callable[[Facts], Facts] = lambda facts: facts  # one of all that look the same
    box: tuple[int, int] | None = None  # top, left in units: from there to the bottom right corner
    #                                     is drawn, the rest is given: (32, 0) for the lower half
    given: tuple[str, ...] = ()  # the free fields that are among the facts all the same
    kind_of: Callable[[Facts], str] = lambda facts: "all"  # kinds whose rates are told apart

    # ---- facts ↔ caption ----------------------------------------------------------------

    def caption_of(self, facts: Facts) -> str:
        """The caption that says these facts."""
        said = facts.keys() - set(self.given)
        template = next(t for t in self.templates if set(_named(t)) == said)
        return _BRACES.sub(lambda found: _filled(found, facts), template)

    def parse(self, caption: str) -> Facts:
        """The facts that a caption says. Raises ValueError, in one sentence, if it cannot."""
        text = " ".join(caption.lower().rstrip(" .!").split())
        for pattern in self._patterns:
            if found := pattern.fullmatch(text):
                facts = {f: self._singular(f, word) for f, word in found.groupdict().items()}
                if self.valid(facts):
                    return facts
        raise ValueError(
            f"{caption!r} is no caption like {self.caption_of(self.sample(Random(0)))!r}"
        )

    @cached_property
    def _patterns(self) -> list[re.Pattern]:
        def group(found: re.Match) -> str:
            if found["field"] in _named(found.string[: found.start()]):
                return f"(?P={found['field']})"  # said once more
            values = sorted(self.values(found["field"]), key=len, reverse=True)
            if found["form"] == "many":
                values = [plural(value) for value in values]
            article = "an? " if found["form"] == "a" else ""
            return f"{article}(?P<{found['field']}>{'|'.join(map(re.escape, values))})"

        return [re.compile(_BRACES.sub(group, template)) for template in self.templates]

    def _singular(self, field: str, word: str) -> str:
        return next(value for value in self.values(field) if word in (value, plural(value)))

    def values(self, field: str) -> tuple:
        """What there is to choose from for a field."""
        return self.fields.get(field) or self.free[field]

    def choices(self, field: str) -> tuple:
        """The same for a picture: with None if the field may be absent from it."""
        always = field in self.free or all(field in _named(t) for t in self.templates)
        return self.values(field) if always else (None, *self.values(field))

    # ---- which facts there are ----------------------------------------------------------

    def sample(self, rng: Random, held_out: bool = False) -> Facts:
        """Random facts that a caption says; of training, or held out."""
        while True:
            template = rng.choice(self.templates)
            fields = dict.fromkeys([*_named(template), *self.given])
            facts = {field: rng.choice(self.values(field)) for field in fields}
            if self.valid(facts) and self.held_out(facts) == held_out:
                return facts

    def near_miss(self, facts: Facts, rng: Random) -> Facts:
        """The facts with one value changed, or with the values of two fields exchanged.

        Of "red star" and "blue circle" the first words may be exchanged instead.
        """
        while True:
            field, other = rng.choice(list(facts)), rng.choice(list(facts))
            ours, theirs = rng.choice(_exchanges(facts[field], facts[other]))
            if other != field and ours in self.values(field) and theirs in self.values(other):
                changed = facts | {field: ours, other: theirs}
            else:
                changed = facts | {field: rng.choice(self.values(field))}
            if self.valid(changed) and self.canonical(changed) != self.canonical(facts):
                return changed

    # ---- facts → picture ----------------------------------------------------------------

    def settle(self, facts: Facts, rng: Random) -> Facts:
        """The facts, and a random choice of everything that they leave open."""
        while True:
            settled = {field: rng.choice(values) for field, values in self.free.items()} | facts
            if self.valid(settled):
                return settled

    @cached_property
    def starts(self) -> tuple[Facts, ...]:
        """Where the reader begins: with the first valid facts that the shortest caption says."""
        least = min(self.templates, key=lambda template: len(_named(template)))
        fields = list(dict.fromkeys([*self.free, *_named(least)]))
        every = (dict(zip(fields, v)) for v in product(*map(self.values, fields)))
        return (next(start for start in every if self.valid(start)),)

    @cached_property
    def _kinds(self) -> set[frozenset]:
        return {frozenset(set(_named(t)) - set(self.free)) for t in self.templates}

    def can_paint(self, settled: Facts) -> bool:
        """Are these settled facts what some caption may say?"""
        return settled.keys() - self.free.keys() in self._kinds and self.valid(settled)

    def paint(self, settled: Facts, size: int = 64) -> np.ndarray:
        """The picture of settled facts: uint8 (size, size, 3)."""
        return self.draw(size, **settled)


_BRACES = re.compile(r"\{(?:(?P<form>a|many) )?(?P<field>\w+)\}")


def _named(template: str) -> list[str]:
    return [found["field"] for found in _BRACES.finditer(template)]


def _filled(found: re.Match, facts: Facts) -> str:
    value = facts[found["field"]]
    forms = {"a": f"{article(value)} {value}", "many": plural(value)}
    return forms.get(found["form"], value)


def _exchanges(one: str, other: str) -> list[tuple[str, str]]:
    """What two values become when they, or their first words, change places.

    >>> _exchanges("red star", "blue circle")
    [('blue circle', 'red star'), ('blue star', 'red circle')]
    """
    (first, _, rest), (other_first, _, other_rest) = one.partition(" "), other.partition(" ")
    words = [(f"{other_first} {rest}", f"{first} {other_rest}")] if rest and other_rest else []
    return [(other, one), *words]


def article(word: str) -> str:
    """ "a" or "an".

    >>> article("orange"), article("unicorn"), article("hourglass"), article("x-ray")
    ('an', 'a', 'an', 'an')
    """
    if word.startswith(("uni", "eu", "one", "used")):
        return "a"
    return "an" if word.startswith((*"aeiou", "hour", "x-")) else "a"


def plural(word: str) -> str:
    """Several of a thing.

    >>> plural("red apple"), plural("butterfly"), plural("toy"), plural("fox")
    ('red apples', 'butterflies', 'toys', 'foxes')
    """
    if re.search("[^aeiou]y$", word):
        return word[:-1] + "ies"
    return word + ("es" if word.endswith(("s", "x", "ch", "sh")) else "s")


def one_in(n: int, *words: str) -> bool:
    """Whether these words belong to the one in n that a hash picks, always the same."""
    return crc32(" ".join(words).encode()) % n == 0
