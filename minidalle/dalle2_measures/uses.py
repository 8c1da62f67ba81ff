"""How well do edits, variations and ways from one picture to another succeed?

Edits are judged as drawings are, by the caption of what the picture should have become. The others
have no caption that must be right, so it is measured what stays and what changes.
"""

from collections.abc import Callable
from dataclasses import replace
from random import Random

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from minidalle.dalle2 import edit, meaning
from minidalle.dalle2.decoder import drawn_from
from minidalle.dalle2.pipeline import Pretrained, imagined
from minidalle.dalle2_measures.asking import frames, in_chunks, streams_of
from minidalle.dalle2_measures.worlds import WORLDS
from minidalle.datasets import to_tensor
from minidalle.plots import to_uint8
from minidalle.rates import Figures, mean
from minidalle.world import judge, painting, scenes
from minidalle.world.ability import Facts
from minidalle.world.lit import LIT
from minidalle.world.scenes import Scene, Thing

SHARES = (0.0, 0.15, 0.3, 0.45, 0.6, 0.8, 1.0)  # of a way
ETAS = (0.0, 0.5, 1.0)
MARGIN = 1  # pixels around what an edit changes


# ---- edits ------------------------------------------------------------------------------


def edits(models: Pretrained, captions: int, candidates: int, seed: int) -> Figures:
    """How many edits are exact, with everything outside the mask unchanged.

    The mask is the rectangle around all that the edit should change, shadow and reflection
    included. Beside it the picture before the edit, judged in the same way.
    """
    if models.data != "lit":
        return {}
    figures, lit = {}, WORLDS["lit"]
    for kind, change in EDITS.items():
        rng = Random(f"{seed} {kind}")
        pairs = [edit_of(change, rng) for _ in range(captions)]
        before, after = (np.stack([LIT.paint(facts, 32) for facts in some]) for some in zip(*pairs))
        masks = torch.from_numpy(np.stack([around(*pair) for pair in zip(before, after)]))[:, None]
        said = [{f: v for f, v in facts.items() if f in LIT.fields} for _, facts in pairs]
        text, pictures = frames(models, [LIT.caption_of(f) for f in said]), to_tensor(before)

        def draw(chunk: slice, text=text, pictures=pictures, masks=masks) -> Tensor:
            told = None, text[chunk], streams_of(seed, chunk)
            return edit.redraw(models.decoder, pictures[chunk], masks[chunk], *told)

        drawn = to_uint8(in_chunks(kind, draw, captions)).numpy()
        outside = ~masks[:, 0].numpy()
        kept = [(new[o] == old[o]).all() for new, old, o in zip(drawn, before, outside)]
        for what, shown in ((kind, drawn), (f"{kind}, before", before)):
            exact = [not lit.faults(f, r) for f, r in zip(said, lit.examine(shown))]
            figures |= mean(what, np.array(exact) & kept)
        figures |= mean(f"{kind}, unchanged outside", kept)
    return figures


def added(facts: Facts) -> Facts:
    """The other way round: what there was before the second thing came."""
    return {field: value for field, value in facts.items() if field != "second"}


def recoloured(facts: Facts, rng: Random) -> Facts:
    """One thing of another colour."""
    field = rng.choice([field for field in ("first", "second") if field in facts])
    name = facts[field].split()[1]
    others = [c for c in scenes.COLOURS if f"{c} {name}" not in facts.values()]
    return facts | {field: f"{rng.choice(others)} {name}"}


# Each gives the facts before and after, of settled facts of two things.
EDITS: dict[str, Callable[[Facts, Random], tuple[Facts, Facts]]] = {
    "a thing added": lambda facts, rng: (added(facts), facts),
    "a thing removed": lambda facts, rng: (facts, added(facts)),
    "a thing recoloured": lambda facts, rng: (recoloured(facts, rng), facts),
}


def edit_of(change: Callable, rng: Random) -> tuple[Facts, Facts]:
    """Settled facts before and after, whose result training never showed."""
    while True:
        facts = LIT.settle(LIT.sample(rng, rng.random() < 0.5), rng)
        if "second" not in facts:
            continue
        before, after = change(facts, rng)
        said = {field: value for field, value in after.items() if field in LIT.fields}
        if LIT.held_out(said) and LIT.can_paint(before) and LIT.can_paint(after):
            return before, after


def around(before: np.ndarray, after: np.ndarray) -> np.ndarray:
    """The rectangle, bool (H, W), around all pixels that differ, and a margin."""
    changed = (before != after).any(-1)
    mask = np.zeros_like(changed)
    rows, columns = (np.flatnonzero(changed.any(axis)) for axis in (1, 0))
    if len(rows):
        top, left = max(rows[0] - MARGIN, 0), max(columns[0] - MARGIN, 0)
        mask[top : rows[-1] + 1 + MARGIN, left : columns[-1] + 1 + MARGIN] = True
    return mask


# ---- variations -------------------------------------------------------------------------


def variations(models: Pretrained, captions: int, candidates: int, seed: int) -> Figures:
    """What stays and what changes in variations of a picture, over η.

    Each is drawn from the picture's embedding and from the noise that inversion finds. What the
    caption says should stay; what it leaves open, such as a place, may change.
    """
    figures = {}
    for name in ("unseen", "lit") if models.data == "lit" else ("unseen",):
        world = WORLDS[name]
        asked = world.ask(Random(f"{seed} {name}"), captions)
        pictures = to_tensor(world.paintings(asked))
        embedding = meaning.look(models.clip, pictures)
        text = frames(models, [one.caption for one in asked])
        whole = world.examine(to_uint8(pictures).numpy())
        for what, words in (("embedding alone", None), ("embedding and caption", text)):

            def invert(c: slice, words=words, embedding=embedding, pictures=pictures) -> Tensor:
                told = embedding[c], None if words is None else words[c]
                return edit.inverted(models.decoder, pictures[c], *told)

            noise = in_chunks(f"{name}, inversion", invert, captions)
            for eta in ETAS:

                def draw(c: slice, words=words, embedding=embedding, noise=noise, eta=eta):
                    told = embedding[c], None if words is None else words[c], streams_of(seed, c)
                    return drawn_from(models.decoder, noise[c], *told, eta=eta)

                drawn = in_chunks(f"{name}, {what}, η {eta:g}", draw, captions)
                seen = world.examine(to_uint8(drawn).numpy())
                right = [not world.differences(a.said, r) for a, r in zip(asked, seen)]
                moved = [
                    world.left_open(r) != world.left_open(old)
                    for r, old, yes in zip(seen, whole, right)
                    if yes
                ]
                setting = f"{name}, {what}, η {eta:g}"
                figures |= mean(f"{setting}: what is said stays", right)
                if moved:
                    figures |= mean(f"{setting}: something else changes", moved)
    return figures


# ---- ways through the space of embeddings -----------------------------------------------


def ways(models: Pretrained, captions: int, candidates: int, seed: int) -> Figures:
    """What the judge reads along three ways: between pictures, by text diffs, along an axis.

    All pictures show one thing. Each is drawn from its embedding and its inverted noise alone, so
    that nothing but the embedding is changed. A text diff is that of what the prior makes of both
    captions, from the same noise: captions' own embeddings lie elsewhere than those of pictures.
    """
    rng = Random(f"{seed} ways")
    figures = {}
    firsts = [plain_scene(rng) for _ in range(captions)]
    seconds = [plain_scene(rng) for _ in range(captions)]
    start, end = (Shown(models, some, rng) for some in (firsts, seconds))
    everything = slice(0, captions)
    for share in SHARES:
        embedding = edit.slerp(start.embedding, end.embedding, share)
        noise = edit.slerp(start.noise.flatten(1), end.noise.flatten(1), share)
        seen = drawn_and_read(models, embedding, noise.view_as(start.noise), f"between, {share:g}")
        for what, wanted in (("the first", firsts), ("the second", seconds)):
            figures |= reads(f"between, at {share:g}: {what}", wanted, seen)
        figures |= mean(f"between, at {share:g}: clear", [r.scene is not None for r in seen])
    for field, values in CHANGES.items():
        after = [changed(scene, field, rng.choice(values), rng) for scene in firsts]
        was, becomes = (
            imagined(
                models,
                frames(models, [scenes.caption_of(s) for s in some]),
                streams_of(seed, everything),
            )
            for some in (firsts, after)
        )
        for share in SHARES[:5]:
            embedding = edit.text_diff(start.embedding, was, becomes, share)
            seen = drawn_and_read(models, embedding, start.noise, f"{field}, {share:g}")
            for what, wanted in (("as before", firsts), ("as the words say", after)):
                figures |= reads(f"text diff of {field}, at {share:g}: {what}", wanted, seen)
    small, large = ([resized(scene, size) for scene in firsts] for size in ("small", "large"))
    axis = size_axis(models, rng)
    start = Shown(models, small, rng)
    for share in SHARES:
        embedding = F.normalize(start.embedding + share * axis, dim=-1)
        seen = drawn_and_read(models, embedding, start.noise, f"size, {share:g}")
        for what, wanted in (("small", small), ("large", large)):
            figures |= reads(f"axis of size, at {share:g}: {what}", wanted, seen)
    return figures


class Shown:
    """Scenes, their pictures' embeddings, and the noise from which they would be drawn."""

    def __init__(self, models: Pretrained, some: list[Scene], rng: Random):
        pictures = to_tensor(np.stack([painting.paint(scene, rng) for scene in some]))
        self.embedding = meaning.look(models.clip, pictures)

        def invert(c: slice) -> Tensor:
            return edit.inverted(models.decoder, pictures[c], self.embedding[c], None)

        self.noise = in_chunks("inversion", invert, len(some))


def drawn_and_read(models: Pretrained, embedding: Tensor, noise: Tensor, what: str) -> list:
    """The judge's readings of the pictures of embeddings (B, E) and noise (B, 3, 32, 32)."""

    def draw(c: slice) -> Tensor:
        return drawn_from(models.decoder, noise[c], embedding[c], None)

    return judge.examine(to_uint8(in_chunks(what, draw, len(noise))).numpy())


def reads(name: str, wanted: list[Scene], seen: list) -> Figures:
    """How often what is read is what is wanted."""
    return mean(name, [not judge.differences(w, r.scene) for w, r in zip(wanted, seen)])


def plain_scene(rng: Random) -> Scene:
    """One large filled shape on a background."""
    while True:
        scene = scenes.sample_scene(rng)
        thing = scene.things[0]
        if len(scene.things) == 1 and thing.fill == "filled" and thing.count == 1:
            background = scene.background or rng.choice(
                [b for b in scenes.BACKGROUNDS if b != thing.colour]
            )
            return replace(scene, things=(replace(thing, size="large"),), background=background)


CHANGES: dict[str, tuple[str, ...]] = {
    "colour": tuple(scenes.COLOURS),
    "fill": ("outlined", "striped"),  # the same thing in another style
    "name": tuple(scenes.SHAPES),
}


def changed(scene: Scene, field: str, value: str, rng: Random) -> Scene:
    """The scene with another value of a field of its thing."""
    thing = scene.things[0]
    values = [v for v in CHANGES[field] if v not in (getattr(thing, field), scene.background)]
    value = value if value in values else rng.choice(values)
    return replace(scene, things=(Thing(**vars(thing) | {field: value}),))


def resized(scene: Scene, size: str) -> Scene:
    """The scene with its thing in that size."""
    return replace(scene, things=(replace(scene.things[0], size=size),))


def size_axis(models: Pretrained, rng: Random, pairs: int = 200) -> Tensor:
    """The mean difference (E,) between the embeddings of large things and of small ones."""

    def embeddings(size: str, some: list[Scene]) -> Tensor:
        pictures = [painting.paint(resized(scene, size), rng) for scene in some]
        return meaning.look(models.clip, to_tensor(np.stack(pictures)))

    some = [plain_scene(rng) for _ in range(pairs)]
    return (embeddings("large", some) - embeddings("small", some)).mean(0)
