"""Run notebooks from top to bottom and save them with their outputs, as they are committed.

    make notebooks                              # all of them
    .venv/bin/python notebooks/run.py FILE …    # some

Pictures are stored with at most 256 colours, which makes the files a third as large. Pillow has
two ways to choose them: the octree keeps colours of few pixels, the median cut those of large
areas. The one that leaves fewer values visibly wrong is kept.
"""

import base64
import io
import os
import sys
from pathlib import Path

from PIL import Image, ImageChops

from minidalle.files import whole_file

os.environ |= {"TQDM_DISABLE": "1", "OMP_NUM_THREADS": "1"}
COLOURS = 256


def smaller(png: str) -> str:
    """A PNG in base64 with at most 256 colours, if that is smaller."""
    picture = Image.open(io.BytesIO(base64.b64decode(png))).convert("RGB")
    ways = (Image.Quantize.FASTOCTREE, Image.Quantize.MEDIANCUT)
    both = [picture.quantize(COLOURS, way, kmeans=1, dither=Image.Dither.NONE) for way in ways]
    reduced = min(both, key=lambda one: visibly_wrong(one.convert("RGB"), picture))
    reduced.save(file := io.BytesIO(), "png", optimize=True)
    return min(base64.b64encode(file.getvalue()).decode(), png, key=len)


def visibly_wrong(one: Image.Image, other: Image.Image) -> int:
    """How many of the values of red, green and blue differ by more than an eighth of the range."""
    histogram = ImageChops.difference(one, other).histogram()
    return sum(sum(histogram[256 * band + 33 : 256 * band + 256]) for band in range(3))


def joined(outputs: list) -> list:
    """The outputs, with texts that were printed one after the other as one."""
    whole: list = []
    for output in outputs:
        texts = output.output_type == "stream" and whole and whole[-1].output_type == "stream"
        if texts and whole[-1].name == output.name:
            whole[-1].text += output.text
        else:
            whole.append(output)
    return whole


def run(path: Path) -> None:
    """Run a notebook in its folder and write it back, without what is personal or accidental."""
    import nbformat
    from nbclient import NotebookClient

    notebook = nbformat.read(path, as_version=4)
    client = NotebookClient(notebook, timeout=1200, resources={"metadata": {"path": path.parent}})
    client.execute()
    for cell in notebook.cells:
        cell.metadata.pop("execution", None)
        if cell.cell_type == "code":
            cell.outputs = joined(cell.outputs)
        for output in cell.get("outputs", []):
            if "image/png" in output.get("data", {}):
                output.data["image/png"] = smaller(output.data["image/png"])
    notebook.metadata = {
        "kernelspec": {"display_name": "Python 3", "language": "python", "name": "python3"},
        "language_info": {"name": "python"},
    }
    text = nbformat.writes(notebook) + "\n"
    with whole_file(path) as part:
        part.write_text(text, encoding="utf-8")
    print(f"{path.name}: {path.stat().st_size / 1024:.0f} KB")


if __name__ == "__main__":
    for name in sys.argv[1:]:
        run(Path(name).resolve())
