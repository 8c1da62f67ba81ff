"""The emoji pack: what is in it, that its split is clean, and that composing is exact."""

import hashlib
import importlib.util
import re
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from minidalle.world import emoji, emoji_readers, objects

DATA = Path(__file__).parents[1] / "data"


@pytest.fixture(scope="module")
def pack():
    return emoji.load_pack()


@pytest.fixture(scope="module")
def builder():
    spec = importlib.util.spec_from_file_location("build_emoji", DATA / "build_emoji.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_checksum_is_the_one_in_the_readme():
    digest = hashlib.sha256((DATA / "emoji_32.npz").read_bytes()).hexdigest()
    assert digest in (DATA / "README.md").read_text()


def test_counts(pack):
    assert pack.pixels.shape == (4873, 32, 32, 4) and pack.pixels.dtype == np.uint8
    assert len(pack.slugs) == len(set(pack.slugs)) == len(set(pack.names)) == 1032
    assert len(pack.groups) == len(pack.keywords) == 1032 and len(set(pack.groups)) == 6
    assert np.bincount(pack.style).tolist() == [1032, 1032, 775, 1017, 1017]
    assert np.bincount(pack.split).tolist() == [4231, 243, 399]
    pairs = set(zip(pack.concept.tolist(), pack.style.tolist()))
    assert len(pairs) == 4873  # one picture per concept and style
    assert tuple(emoji.STYLE_WORDS) == pack.styles
    assert (DATA / "emoji_32.npz").stat().st_size < 4.5e6


def test_what_is_left_out(pack):
    assert not any(
        re.search(r"\bflag:|skin tone|\b(wo)?m[ae]n\b(?!')|person", n) for n in pack.names
    )
    assert not {"flags", "symbols", "people & body"} & set(pack.groups)
    fluent = {pack.slugs[c] for c in pack.concept[pack.style >= 3]}
    assert not fluent & {"paperclip", "linked-paperclips", "video-game", "joystick"}
    for slug in ("technologist", "chequered-flag", "openmoji"):
        assert slug not in pack.slugs


def test_unseen_concepts_are_wholly_unseen(pack):
    unseen = set(pack.concept[pack.split == emoji.UNSEEN_CONCEPT].tolist())
    seen = set(pack.concept[pack.split != emoji.UNSEEN_CONCEPT].tolist())
    assert not unseen & seen and len(unseen) == round(0.05 * 1032)


def test_unseen_combinations_are_seen_in_three_other_styles(pack):
    for c in np.unique(pack.concept[pack.split == emoji.UNSEEN_COMBINATION]):
        mine = pack.concept == c
        assert (pack.split[mine] == emoji.TRAIN).sum() >= 3
        fluent = pack.split[mine & (pack.style >= 3)]
        assert len(set(fluent.tolist())) <= 1  # both Fluent styles on the same side


def test_no_held_out_picture_has_a_copy_in_training(pack):
    train = {p.tobytes() for p in pack.pixels[pack.split == emoji.TRAIN]}
    assert not any(p.tobytes() in train for p in pack.pixels[pack.split != emoji.TRAIN])


def test_split_keeps_lookalikes_together_and_is_stable():
    slugs = tuple(f"thing-{c}" for c in range(200))
    concept, style = np.repeat(np.arange(200), 5), np.tile(np.arange(5), 200)
    look = np.arange(1000)
    look[5:10] = look[0:5]  # things 0 and 1 are drawn alike in every style
    look[11] = look[12]  # thing 2 in two styles
    for seed in range(20):
        split = emoji.held_out(slugs, concept, style, look, {"thing-3"}, 0.2, 100, seed)
        hidden = split != emoji.TRAIN
        assert not np.isin(look[hidden], look[~hidden]).any()
        assert not hidden[15:20].any()
        assert (split == emoji.UNSEEN_CONCEPT).sum() == 200
        again = emoji.held_out(slugs, concept, style, look, {"thing-3"}, 0.2, 100, seed)
        assert (again == split).all()


def test_objects_are_in_the_pack_and_never_held_out(pack):
    assert len(emoji.OBJECTS) == 44
    for name, (slug, plural) in emoji.OBJECTS.items():
        assert (pack.split[pack.concept == pack.slugs.index(slug)] == emoji.TRAIN).all()
        assert re.fullmatch("[a-z]+", name) and re.fullmatch("[a-z]+s", plural)


@pytest.mark.parametrize("size", [11, 14, 28])
def test_sprites_fill_their_box_and_differ(pack, size):
    sprites = np.stack([emoji.object_sprite(pack, name, size) for name in emoji.OBJECTS])
    assert sprites.shape == (44, size, size, 4) and sprites.dtype == np.float32
    assert sprites.min() >= 0 and sprites.max() <= 1
    assert (sprites[..., :3] <= sprites[..., 3:] + 1e-5).all()  # premultiplied
    drawn = sprites[..., 3] > 0.01
    assert (drawn.any(1).all(1) | drawn.any(2).all(1)).all()
    grey = (sprites[..., :3] + 0.6 * (1 - sprites[..., 3:])).reshape(44, -1)
    rms = np.sqrt(((grey[:, None] - grey) ** 2).mean(-1)) + np.eye(44)
    assert rms.min() > 0.1


def test_compose_is_pillows(pack):
    for i, colour in ((0, (255, 255, 255)), (1500, (40, 90, 200)), (4000, (250, 220, 130))):
        ground = Image.new("RGBA", (32, 32), colour)
        ground.alpha_composite(Image.fromarray(pack.pixels[i]))
        theirs = np.asarray(ground)[..., :3].astype(int)
        assert np.abs(emoji.compose(pack.pixels[i], colour) - theirs).max() <= 1
    colours = np.array([[255, 255, 255], [0, 0, 255]])
    batch = emoji.compose(pack.pixels[:2], colours[:, None, None])
    assert (batch[1] == emoji.compose(pack.pixels[1], (0, 0, 255))).all()


def test_visible_by_hand():
    black = np.zeros((32, 32, 4), np.uint8)
    black[8:24, 8:24, 3] = 255
    assert emoji.visible(black, (255, 255, 255)) and not emoji.visible(black, (0, 0, 0))


def test_captions(pack):
    for i in range(len(pack.pixels)):
        text = emoji.caption(pack, i, i % len(emoji.TEMPLATES), "orange")
        assert re.fullmatch(r"[a-z0-9 '.!-]+", text), text
        assert text.endswith(" on an orange background") and len(text.split()) <= emoji.LONGEST
    octopus = np.flatnonzero(pack.concept == pack.slugs.index("octopus"))[2]
    assert [emoji.caption(pack, octopus, t) for t in range(len(emoji.TEMPLATES))] == [
        "octopus",
        "an octopus",
        "a drawing of an octopus",
        "an octopus in the style of old noto",
        "an old noto drawing of an octopus",
        "old noto octopus",
    ]


@pytest.mark.parametrize(
    "phrase",
    [
        "an hourglass done",
        "a unicorn",
        "an x-ray",
        "grapes",
        "a cactus",
        "a wine glass",
        "bread",
        "eight o'clock",
        "a nest with eggs",
        "a face with tears of joy",
        "a one-piece swimsuit",
        "the milky way",
        "scissors",
        "a grinning face with smiling eyes",
        "an ear of corn",
    ],
)
def test_articles(pack, phrase):
    name = re.sub("^(an?|the) ", "", phrase)
    assert name in pack.names and emoji.with_article(name) == phrase


def test_nothing_with_a_side_a_clock_or_text_is_mirrored(pack):
    may = {pack.names[c] for c in pack.concept[emoji.mirrorable(pack)]}
    for name in (
        "eight o'clock",
        "magnifying glass tilted left",
        "calendar",
        "hundred points",
        "waning crescent moon",
        "1st place medal",
        "stopwatch",
        "zzz",
    ):
        assert name in pack.names and name not in may
    assert {"octopus", "house", "red apple"} <= may


@pytest.mark.parametrize("spoil", ["truncated", "foreign", "pickle", "empty"])
def test_a_spoilt_pack_gets_one_sentence(tmp_path, spoil):
    path = tmp_path / "pack.npz"
    whole = (DATA / "emoji_32.npz").read_bytes()
    if spoil == "foreign":
        np.savez(path, pixels=np.zeros(3))
    elif spoil == "pickle":
        np.savez(path, pixels=np.array([{}], dtype=object))
    else:
        path.write_bytes(whole[: len(whole) // 2] if spoil == "truncated" else b"")
    with pytest.raises(ValueError, match="is not a complete emoji pack"):
        emoji.load_pack(path)


def test_a_missing_pack_gets_one_sentence(tmp_path):
    with pytest.raises(FileNotFoundError, match="build it with"):
        emoji.load_pack(tmp_path / "nowhere.npz")


def test_builder_refuses_another_tarball(builder, tmp_path):
    (tmp_path / "iconify-json-noto-1.2.9.tgz").write_bytes(b"not the package")
    with pytest.raises(SystemExit, match="expected 3e918d88"):
        builder.fetch("noto", tmp_path)


def test_builder_writes_the_same_bytes_twice(builder, pack, tmp_path):
    arrays = {"pixels": pack.pixels[:20], "names": np.array(pack.names)}
    digests = {builder.write(tmp_path / name, arrays) for name in ("a.npz", "b.npz")}
    assert len(digests) == 1
    assert sorted(p.name for p in tmp_path.iterdir()) == ["a.npz", "b.npz"]  # no leftovers


def test_builder_normalises_and_pads(builder):
    assert builder.plain("Eight O’Clock: “piñata”") == 'eight o\'clock "pinata"'
    icons = {"width": 36, "height": 36, "icons": {"flat": {"body": "", "height": 24}}}
    assert 'viewBox="0.0 -6.0 36 36"' in builder.drawing(icons, "flat")
    assert builder.drawing(icons, "absent") is None


def test_the_readers_name_pictures_that_they_were_not_fitted_on(pack):
    new = np.flatnonzero(pack.split == emoji.UNSEEN_COMBINATION)
    pictures = emoji.compose(objects.pixels()[new], (255, 255, 255))
    concept, style = emoji_readers.read(pictures)
    drawn = np.isin(pack.concept[new], emoji_readers.concepts_drawn(pack))
    assert (style == pack.style[new]).mean() > 0.85  # chance: 0.2
    assert (concept == pack.concept[new])[drawn].mean() > 0.5  # chance: 1 in 291
