"""A folder of pictures and captions: NAME.png (or .jpg, .webp) beside NAME.txt.

S pixels per side, M pictures.
"""

from pathlib import Path

import numpy as np

from minidalle.datasets.pictures import PICTURES, open_picture


def read_folder(folder: Path, image_size: int) -> tuple[list[tuple[str, ...]], np.ndarray]:
    """The captions of each picture, and the pictures (M, S, S, 3): NAME.png beside NAME.txt.

    Raises ValueError, in one sentence, for a folder without pairs or a file that is no picture.
    """
    captions, pictures = [], []
    for path in sorted(Path(folder).iterdir()):
        text = path.with_suffix(".txt")
        if path.suffix.lower()[1:] not in PICTURES or not text.is_file():
            continue
        if lines := read_captions(text):
            captions.append(lines)
            pictures.append(open_picture(path, image_size))
    if not captions:
        raise ValueError(f"{folder} holds no picture NAME.png with a caption NAME.txt beside it")
    return captions, np.stack(pictures)


def read_captions(path: Path) -> tuple[str, ...]:
    """The lines of a text file, without the empty ones."""
    try:
        lines = path.read_text("utf-8").splitlines()
    except UnicodeDecodeError as error:
        raise ValueError(f"{path} is not text in UTF-8 ({error})") from None
    return tuple(line.strip() for line in lines if line.strip())
