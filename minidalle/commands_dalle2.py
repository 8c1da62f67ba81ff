"""The commands of the second DALL·E: `draw --model dalle2` and `vary`."""

import time
from pathlib import Path

from minidalle.commands import open_second, print_ranking
from minidalle.words import shown

# options of the first
NOT_HERE = ("preset", "temperature", "top_k", "top_p", "keep_rows", "box", "clip")


def draw(args) -> None:
    """Caption → embeddings → pictures → the best, enlarged; or the masked part of a picture."""
    begin = time.perf_counter()
    if given := [name for name in NOT_HERE if getattr(args, name) is not None]:
        option = "--" + given[0].replace("_", "-")
        raise ValueError(f"{option} is for the first DALL·E: leave out --model dalle2")
    if (args.image is None) != (args.mask is None):
        raise ValueError("--image and --mask go together: the mask says which part to draw")
    from tqdm import tqdm

    from minidalle import plots
    from minidalle.dalle2 import pipeline
    from minidalle.dalle2_measures import worlds

    plots.picture_format(args.out)  # fail now, not after a minute of drawing
    models = open_second(args)
    worlds.refuse_others(args.caption, models.data)
    load = time.perf_counter() - begin
    how = {} if args.guidance is None else {"guidance": args.guidance}
    if args.image:
        how["given"], how["mask"] = open_edit(args.image, args.mask, models)
    drawing = pipeline.draw(
        models, args.caption, args.candidates, args.keep, args.seed, truncate=args.truncate,
        progress=lambda chunks: tqdm(chunks, desc="drawing", leave=False), **how,
    )  # fmt: skip
    ranked = [(int(i), float(score)) for i, score in zip(drawing.order, drawing.scores)]
    scores = [f"#{i}  {score:.3f}" for i, score in ranked]
    plots.save_image(plots.sheet(drawing.large, drawing.caption, scores, scale=1), args.out)
    print("sheet   ", shown(args.out))
    print_ranking(ranked, {"load": load} | drawing.seconds)


def open_edit(image: Path, mask: Path, models) -> tuple:
    """A picture (3, 32, 32) and what to draw of it, bool (1, 32, 32): where the mask is light."""
    import torch

    from minidalle.datasets import to_tensor
    from minidalle.datasets.pictures import middle_crop, on_white, read_picture

    picture, light = read_picture(image, image), read_picture(mask, mask)
    if picture.size != light.size:
        sizes = (f"{one.width}×{one.height}" for one in (light, picture))
        raise ValueError("{} has {} pixels and {} {}: a mask is as large as its picture".format(
            *(x for pair in zip((mask, image), sizes) for x in pair)
        ))  # fmt: skip
    size = models.decoder.config.unet.image_size
    given, light = (
        to_tensor(on_white(middle_crop(one, size))[None])[0] for one in (picture, light)
    )
    chosen = light.mean(0, keepdim=True) > 0.5
    if not torch.any(chosen):
        raise ValueError(f"{mask} is all dark: paint white what is to be drawn")
    return given.to(models.device), chosen.to(models.device)


def vary(args) -> None:
    """Variations of a picture, or pictures on the way from it to another."""
    import numpy as np

    from minidalle import plots
    from minidalle.dalle2 import edit, pipeline
    from minidalle.datasets import to_tensor
    from minidalle.datasets.pictures import open_picture

    plots.picture_format(args.out)
    if args.other and args.eta is not None:
        raise ValueError("--eta is for variations of one picture: leave it out, or the other one")
    models = open_second(args)
    size = models.decoder.config.unet.image_size
    paths = [args.picture, args.other] if args.other else [args.picture]
    pictures = to_tensor(np.stack([open_picture(path, size) for path in paths]))
    pictures = pictures.to(models.device)
    streams = pipeline.generators(args.seed, 0, args.keep)
    if args.other:
        small = edit.between(models.clip, models.decoder, *pictures, args.keep)
        title = f"from {args.picture.name} to {args.other.name}"
    else:
        eta = 1.0 if args.eta is None else args.eta
        small = edit.variations(models.clip, models.decoder, pictures[0], streams, eta)
        title = f"variations of {args.picture.name}"
    large = pipeline.enlarge(models, small, streams)
    plots.save_image(plots.sheet(large, title, scale=1), args.out)
    print("sheet   ", shown(args.out))
