"""The measures of the second DALL·E, on pictures whose right figure is known."""

from random import Random

import numpy as np
import pytest
import torch
import toys

from minidalle.dalle2 import edit, recipes
from minidalle.dalle2_measures import asking, evaluate, uses, worlds
from minidalle.datasets import to_tensor
from minidalle.world.lit import LIT


@pytest.fixture(scope="module")
def models():
    return toys.second_dalle()._replace(data="lit")


def at_most_once(name, figures, wanted):
    """The figures of that measure, without their errors."""
    assert {k: v for k, v in figures.items() if k.startswith(name) and "±" not in k} == wanted


@pytest.mark.parametrize("name", worlds.WORLDS)
def test_real_pictures_are_exact_and_near_misses_are_not(name):
    world, rng = worlds.WORLDS[name], Random(1)
    asked = world.ask(rng, 20)
    missed = [world.miss(one, rng) for one in asked]
    for some, share in ((asked, 0.95), (missed, 0.0)):
        seen = world.examine(world.paintings(some))
        exact = np.mean([not world.faults(one.said, r) for one, r in zip(asked, seen)])
        assert exact >= share if some is asked else exact == share


@pytest.mark.parametrize("name", worlds.WORLDS)
def test_large_paintings_shrink_to_the_small_ones(name):
    world = worlds.WORLDS[name]
    asked = world.ask(Random(2), 8)
    small, large = (to_tensor(world.paintings(asked, size)) for size in (32, 128))
    assert (recipes.shrunk(large, 4) - small).abs().mean() < 0.01


def test_only_training_data_decide_which_captions_are_refused():
    worlds.refuse_others("a red circle above a blue square", "scenes")
    worlds.refuse_others("anything", "somebody's own")
    lit = LIT.caption_of(LIT.sample(Random(0)))
    worlds.refuse_others(lit, "lit")
    with pytest.raises(ValueError, match="outside the world"):
        worlds.refuse_others(lit, "scenes")


def test_the_chain_counts_what_the_judge_and_clip_say(models, monkeypatch):
    """Of two candidates the second is right; CLIP prefers it, the decoder does not."""
    world = worlds.WORLDS["unseen"]
    known = {one.caption: one for one in world.ask(Random("0 unseen"), 4)}

    def sample(models, text, streams):
        one = known[models.bpe.decode(text[0].tolist())]
        pair = world.miss(one, Random(0)), one
        return None, to_tensor(world.paintings(pair))

    bpe = models.bpe
    ids = {caption: torch.tensor([[i] * 40]) for i, caption in enumerate(known)}
    monkeypatch.setattr(evaluate, "frames", lambda models, captions: ids[captions[0]])
    monkeypatch.setattr(type(bpe), "decode", lambda self, codes: list(known)[codes[0]])
    monkeypatch.setattr(evaluate, "sample", sample)
    monkeypatch.setattr(
        evaluate, "rerank", lambda clip, text, pictures, keep: (torch.tensor([1, 0]), None)
    )
    monkeypatch.setattr(evaluate, "worlds_of", lambda data: {"unseen": world})
    figures = evaluate.chain(models, 4, 2, 0)
    wanted = {f"unseen: best of {n}{by}": 0 for n in (1, 2) for by in ("", ", by the decoder")}
    at_most_once("unseen: best", figures, wanted | {"unseen: best of 2": 1})
    assert figures["unseen: single samples"] == 0.5


def test_edits_are_judged_by_what_the_picture_should_become(models, monkeypatch):
    captions = 4

    def right(decoder, pictures, masks, embedding, text, streams):
        facts = [LIT.parse(caption) for caption in asked]
        return to_tensor(np.stack([LIT.paint(before | f, 32) for before, f in zip(starts, facts)]))

    def untouched(decoder, pictures, *rest):
        return pictures

    starts, asked = [], []
    real_edit_of = uses.edit_of

    def noted(change, rng):
        before, after = real_edit_of(change, rng)
        starts.append({field: after[field] for field in LIT.free})
        asked.append(LIT.caption_of({f: v for f, v in after.items() if f in LIT.fields}))
        return before, after

    monkeypatch.setattr(uses, "edit_of", noted)
    monkeypatch.setattr(uses, "frames", lambda models, captions: torch.zeros(4, 40).long())
    monkeypatch.setattr(uses, "EDITS", {"a thing added": uses.EDITS["a thing added"]})
    for redraw, exact in ((right, 1), (untouched, 0)):
        starts.clear(), asked.clear()
        monkeypatch.setattr(edit, "redraw", redraw)
        figures = uses.edits(models, captions, 0, 0)
        at_most_once("a thing added", figures, {
            "a thing added": exact, "a thing added, before": 0,
            "a thing added, unchanged outside": 1,
        })  # fmt: skip


@pytest.mark.parametrize("kind", uses.EDITS)
def test_an_edit_changes_what_its_mask_covers_and_leads_to_a_held_out_picture(kind):
    for seed in range(5):
        before, after = uses.edit_of(uses.EDITS[kind], Random(seed))
        assert LIT.held_out({f: v for f, v in after.items() if f in LIT.fields})
        pictures = LIT.paint(before, 32), LIT.paint(after, 32)
        mask = uses.around(*pictures)
        assert (pictures[0] == pictures[1])[~mask].all() and 0 < mask.mean() < 0.9


def test_gradient_and_rows_drawn_in_chunks():
    step = torch.zeros(1, 3, 4, 4)
    step[..., 2:] = 0.6  # one of three differences across, none down
    assert evaluate.gradient(step).item() == pytest.approx(0.36 / 3)
    rows = asking.in_chunks("", lambda chunk: torch.arange(chunk.start, chunk.stop), 70)
    assert rows.tolist() == list(range(70))
    first = asking.streams_of(3, slice(32, 34))[0]
    assert first.initial_seed() == 3 * 1_000_003 + 32
