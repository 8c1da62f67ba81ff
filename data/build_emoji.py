"""Build the emoji pack: five vendors' drawings of the same thousand things, with captions.

    pip install resvg_py==0.5.0 pillow numpy
    python data/build_emoji.py --size 32 --out data/emoji_32.npz [--inputs CACHE_DIR]
    python data/build_emoji.py --size 64 --sheets data/emoji_64

Needs `npm` on the path: the drawings come as SVG in seven npm packages (32 MB), fetched with
`npm pack` and checked against the sums below before anything is read. Takes about a minute on
a laptop. The same inputs and the same zlib give the same bytes. The pictures of 64×64 are committed
as sheets, one lossless WebP for each style, in the order of the pack of 32×32, which names them.

data/README.md explains what is included and what is not; licences are in data/LICENSES/.
"""

import argparse
import hashlib
import io
import json
import os
import subprocess
import tarfile
import tempfile
import unicodedata
import zipfile
from pathlib import Path

import numpy as np
from PIL import Image

from minidalle.world.emoji import OBJECTS, compose, held_out

# package, version, sha256 of the tarball
PACKAGES = {
    "twemoji": (
        "@iconify-json/twemoji",
        "1.2.5",
        "19046dff7d8707ce96212ec86468b36ac5f8e60409629dd13f809265c6d0ebb7",
    ),
    "noto": (
        "@iconify-json/noto",
        "1.2.9",
        "3e918d88fc945c0bb3d468dbace6f88caef67f01c9f0e7bcae0915a042e8f1ad",
    ),
    "noto-v1": (
        "@iconify-json/noto-v1",
        "1.2.5",
        "2bf62c26c2c2884aa99e90aec942cdaee17a5921f05690694f4978ad4b017c37",
    ),
    "fluent-emoji": (
        "@iconify-json/fluent-emoji",
        "1.2.7",
        "8044210dbf11e016d4de85f15d01a243423bd832457e7e2491df1b751c0e272b",
    ),
    "fluent-emoji-flat": (
        "@iconify-json/fluent-emoji-flat",
        "1.2.6",
        "7d064769dee690815f823bc5bcc511d957198caf9f5edd8dd9c1aa48a6aeb175",
    ),
    "names": (
        "cldr-annotations-full",
        "48.2.0",
        "28576e51225deb51e3ddd734b0f824a0079682cb5d8c27faa9f68149317a14d1",
    ),
    "more-names": (
        "cldr-annotations-derived-full",
        "48.2.0",
        "4be946ff5815f806ec78b50363d577a769f2fbfb90c6380a44e161a92436996e",
    ),
}

STYLES = ("twemoji", "noto", "noto-v1", "fluent-emoji", "fluent-emoji-flat")

# Flags, symbols and people (with their skin tones) are left out.
GROUPS = (
    "Animals & Nature",
    "Food & Drink",
    "Activities",
    "Travel & Places",
    "Objects",
    "Smileys & Emotion",
)

# Microsoft: "the Clippy-like paperclip, [...] technologist and video games emojis" are not open.
NOT_OPEN = {"paperclip", "linked-paperclips", "video-game", "joystick"}

OVERSAMPLE = 4  # render larger, then average areas, to preserve thin lines


def fetch(key: str, folder: Path) -> Path:
    """The tarball of PACKAGES[key] in `folder`, downloaded if missing; its sha256 is checked."""
    name, version, digest = PACKAGES[key]
    path = folder / f"{name.lstrip('@').replace('/', '-')}-{version}.tgz"
    if not path.exists():
        command = ["npm", "pack", "--silent", "--pack-destination", str(folder)]
        subprocess.run([*command, f"{name}@{version}"], check=True, stdout=subprocess.DEVNULL)
    found = hashlib.sha256(path.read_bytes()).hexdigest()
    if found != digest:
        raise SystemExit(f"{path} has sha256 {found}, expected {digest}; delete it and try again.")
    return path


def member(tarball: Path, name: str) -> dict:
    """One JSON file of a tarball, read in memory; nothing is unpacked to disk."""
    with tarfile.open(tarball) as tar:
        return json.load(tar.extractfile(f"package/{name}"))


def plain(text: str) -> str:
    """Lower-case ASCII with straight quotes and no colons.

    >>> plain("Eight O’Clock: “piñata”")
    'eight o\\'clock "pinata"'
    """
    for curly, straight in ("’'", "‘'", '“"', '”"', (": ", " ")):
        text = text.replace(curly, straight)
    return unicodedata.normalize("NFKD", text).encode("ascii", "ignore").decode().lower().strip()


def read_names(tarballs: dict[str, Path]) -> dict[str, tuple[str, list[str]]]:
    """Emoji → (short name, keywords), in English, from CLDR."""
    found = {}
    for key, kind in (("names", "annotations"), ("more-names", "annotationsDerived")):
        table = member(tarballs[key], f"{kind}/en/annotations.json")[kind]["annotations"]
        for emoji, entry in table.items():
            words = [plain(word) for word in entry.get("default", [])]
            found[emoji] = (plain(entry["tts"][0]), words)
    return found


def characters(code_points: str) -> str:
    """'1f408-200d-2b1b' → the emoji itself, without the variation selector, which CLDR omits."""
    return "".join(chr(int(c, 16)) for c in code_points.split("-") if c != "fe0f")


def drawing(icons: dict, slug: str) -> str | None:
    """The SVG of one icon on a square canvas, or None if the style does not have it."""
    slug = icons.get("aliases", {}).get(slug, {}).get("parent", slug)
    icon = icons["icons"].get(slug)
    if icon is None:
        return None
    w, h = icon.get("width", icons["width"]), icon.get("height", icons["height"])
    side = max(w, h)
    left, top = (w - side) / 2, (h - side) / 2  # centred, because a few drawings are not square
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" xmlns:xlink="http://www.w3.org/1999/xlink" '
        f'width="{side}" height="{side}" viewBox="{left} {top} {side} {side}">{icon["body"]}</svg>'
    )


def render(svg: str, size: int) -> np.ndarray:
    """SVG → straight-alpha RGBA uint8 (size, size, 4), each pixel the mean of its area."""
    import resvg_py

    side = size * OVERSAMPLE
    png = bytes(
        resvg_py.svg_to_bytes(svg_string=svg, width=side, height=side, skip_system_fonts=True)
    )
    rgba = np.asarray(Image.open(io.BytesIO(png)).convert("RGBA"), np.float64) / 255
    rgba[..., :3] *= rgba[..., 3:]  # premultiply, so that transparent pixels do not count
    rgba = rgba.reshape(size, OVERSAMPLE, size, OVERSAMPLE, 4).mean((1, 3))
    rgba[..., :3] /= np.maximum(rgba[..., 3:], 1e-9)
    rgba = np.rint(rgba * 255).clip(0, 255).astype(np.uint8)
    rgba[rgba[..., 3] == 0] = 0
    return rgba


def looks(pixels: np.ndarray, near: float = 2.0) -> np.ndarray:
    """(P,) the first picture that looks the same: mean difference on grey below `near` of 255.

    Exact copies have distance 0; slightly redrawn copies would leak as well.
    """
    flat = compose(pixels, (128, 128, 128)).reshape(len(pixels), -1).astype(np.float32)
    coarse = flat.reshape(len(flat), -1, 24).mean(2)  # gives a cheap lower bound on the distance
    look = np.arange(len(flat))
    for i in range(1, len(flat)):
        close = np.flatnonzero(np.abs(coarse[:i] - coarse[i]).mean(1) < near)
        close = close[np.abs(flat[close] - flat[i]).mean(1) < near]
        if len(close):
            look[i] = look[close[0]]
    return look


def build(tarballs: dict[str, Path], size: int) -> dict[str, np.ndarray]:
    """The arrays of the pack, sorted by style, then by group, in twemoji's order."""
    icons = {style: member(tarballs[style], "icons.json") for style in STYLES}
    # The gradient Fluent set has the same slugs as the flat one; old Noto has no code points, but
    # the same slugs as the other sets.
    chars = {style: member(tarballs[style], "chars.json") for style in STYLES}
    chars["fluent-emoji"] = chars["fluent-emoji-flat"]
    categories = member(tarballs["twemoji"], "metadata.json")["categories"]
    annotations = read_names(tarballs)

    code_points = {}
    for code, slug in chars["twemoji"].items():
        code_points.setdefault(slug, []).append(code)

    concepts, pictures, concept, style = [], [], [], []
    for group in GROUPS:
        for slug in categories[group]:
            codes = code_points.get(slug, [])
            emoji = next((characters(c) for c in codes if characters(c) in annotations), None)
            if emoji is None:
                continue  # a private-use character of one vendor, unnamed in CLDR
            for number, name in enumerate(STYLES):
                if name.startswith("fluent") and slug in NOT_OPEN:
                    continue
                names = [chars[name][c] for c in codes if c in chars[name]] or [slug]
                svg = drawing(icons[name], names[0])
                if svg is not None:
                    pictures.append(svg)
                    concept.append(len(concepts))
                    style.append(number)
            concepts.append((slug, *annotations[emoji], plain(group)))

    slugs, names, keywords, groups = zip(*concepts)
    order = sorted(
        range(len(style)), key=style.__getitem__
    )  # similar pictures together compress better
    pictures = [pictures[i] for i in order]
    concept, style = np.array(concept, np.uint16)[order], np.array(style, np.uint8)[order]
    pixels = np.stack([render(svg, size) for svg in pictures])
    # The split is computed at 32 pixels, so that it is the same at every size.
    small = pixels if size == 32 else np.stack([render(svg, 32) for svg in pictures])
    # Never held out: the objects of scenes, and four that used to be among them.
    keep = {slug for slug, _ in OBJECTS.values()} | {"squid", "rocket", "tent", "house"}
    return {
        "pixels": pixels,
        "concept": concept,
        "style": style,
        "split": held_out(slugs, concept, style, looks(small), keep),
        "slugs": np.array(slugs),
        "names": np.array(names),
        "groups": np.array(groups),
        "keywords": np.array([" | ".join(words) for words in keywords]),
        "styles": np.array(STYLES),
    }


def write(path: Path, arrays: dict[str, np.ndarray]) -> str:
    """Write an .npz with fixed dates, under a temporary name, then renamed; returns its sha256."""
    with tempfile.NamedTemporaryFile(dir=path.parent, suffix=".part", delete=False) as file:
        with zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED, compresslevel=9) as archive:
            for name, array in arrays.items():
                entry = io.BytesIO()
                np.lib.format.write_array(entry, array, allow_pickle=False)
                info = zipfile.ZipInfo(f"{name}.npy", date_time=(1980, 1, 1, 0, 0, 0))
                info.compress_type = zipfile.ZIP_DEFLATED
                archive.writestr(info, entry.getvalue())
    os.chmod(file.name, 0o644)
    os.replace(file.name, path)
    return hashlib.sha256(path.read_bytes()).hexdigest()


def write_sheets(folder: Path, arrays: dict[str, np.ndarray], across: int = 32) -> str:
    """One sheet for each style, `across` pictures in a row; returns the pixels' sha256."""
    folder.mkdir(parents=True, exist_ok=True)
    for number, style in enumerate(STYLES):
        pixels = arrays["pixels"][arrays["style"] == number]
        size, rows = pixels.shape[1], -(-len(pixels) // across)
        padded = np.zeros((rows * across, *pixels.shape[1:]), np.uint8)
        padded[: len(pixels)] = pixels
        sheet = padded.reshape(rows, across, size, size, 4).swapaxes(1, 2)
        sheet = Image.fromarray(sheet.reshape(rows * size, across * size, 4))
        sheet.save(folder / f"{style}.webp", lossless=True, quality=100, method=6, exact=True)
    return hashlib.sha256(arrays["pixels"].tobytes()).hexdigest()


def main() -> None:
    parser = argparse.ArgumentParser(description="Build the emoji pack from pinned packages.")
    parser.add_argument("--size", type=int, default=32, help="pixels per side (default 32)")
    where = parser.add_mutually_exclusive_group(required=True)
    where.add_argument("--out", type=Path, help="the .npz to write")
    where.add_argument("--sheets", type=Path, help="or the folder of sheets to write")
    parser.add_argument("--inputs", type=Path, help="folder for the npm tarballs")
    args = parser.parse_args()
    with tempfile.TemporaryDirectory() as scratch:
        folder = args.inputs or Path(scratch)
        folder.mkdir(parents=True, exist_ok=True)
        arrays = build({key: fetch(key, folder) for key in PACKAGES}, args.size)
    split = np.bincount(arrays["split"], minlength=3)
    print(
        f"{len(arrays['pixels'])} pictures of {len(arrays['names'])} concepts: {split[0]} train, "
        f"{split[1]} of unseen concepts, {split[2]} unseen combinations"
    )
    if args.sheets:
        print(f"{args.sheets}: sha256 of the pixels {write_sheets(args.sheets, arrays)}")
    else:
        digest = write(args.out, arrays)
        print(f"{args.out}: {args.out.stat().st_size / 1e6:.2f} MB, sha256 {digest}")


if __name__ == "__main__":
    main()
