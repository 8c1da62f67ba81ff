"""Print the tables of README.md and docs/results.md: `python data/tables.py`.

Each stands there between two comments, `<!-- NAME -->` and `<!-- end of NAME -->`. The figures are
those that `minidalle evaluate --into` stored: data/evaluation.json of the preset small,
data/evaluation_tiny.json of tiny, data/evaluation_dalle2.json of the second DALL·E and
data/evaluation_mini.json of DALL·E Mini. With --write the tables are put where they belong.
"""

import json
import math
import re
import sys
from pathlib import Path
from random import Random

from minidalle import DATA
from minidalle.evaluate import GUIDANCES, TEMPERATURES
from minidalle.files import whole_file
from minidalle.world.abilities import ABILITIES, parse

ROOT = Path(__file__).resolve().parents[1]
Table = list[str]
EXAMPLES = (  # of each ability, never shown; of those that are missing a random one
    "a small striped blue star",
    "a clock in the shape of a pentagon",
    "a purple banana",
    "a penguin with a red hat, yellow gloves, a blue shirt and green trousers",
    "a red block on a green block on a blue block",
    "five red apples",
    "an armchair in the shape of an avocado",
    "a snail made of watermelon",
    "half giraffe, half turtle",
    "a radish in a tutu walking a dog",
    "a telephone from the 1920s",
    "a cross-section of a kiwi",
    "the food of japan on a blue plate",
    "a capybara in a field at sunrise",
    "a shop front that says 'dog'",
    "the same cat as a sketch below",
)
GOALS = {  # for CLIP's best of 32
    **dict.fromkeys(("attributes", "outlines", "habits"), 0.90),
    **dict.fromkeys(("outfits", "relations", "rows"), 0.85),
    **dict.fromkeys(("chairs", "materials", "halves", "walks", "copies"), 0.80),
    **{"daylight": 0.90, "words": 0.70},
}
EMOJI_GOALS = {  # shares of what is read in real pictures
    "shown: concept": 0.85,
    "shown: style": 0.80,
    "not shown: concept": 0.60,
    "not shown: style": 0.50,
}
GOALS_OF_TINY = {  # lower bounds
    "dvae: PSNR, scenes": 27,
    "dvae: PSNR, emoji": 23,
    "dvae: perplexity / K": 0.25,
    "unseen: single samples": 0.75,
    "unseen: best of 32": 0.95,
    "combination: single samples": 0.60,
    "combination: best of 32": 0.85,
    "judge: real, through the dVAE": 0.98,
}
GOALS_OF_DALLE2 = {
    "dalle2 decoder: unseen": 0.75,
    "dalle2 chain: unseen: single samples": 0.60,
    "dalle2 chain: unseen: best of 8": 0.85,
    **{
        f"dalle2 upsamplers: {world}: {what}, still exact": 0.98
        for world in ("unseen", "combination", "lit")
        for what in ("real", "drawn")
    },
    **{f"dalle2 edits: a thing {what}": 0.75 for what in ("added", "removed", "recoloured")},
}
GOALS_OF_MINI = {"mini unseen: single samples": 0.90, "mini unseen: best of 32": 0.96}
# parts whose figures are no shares
NO_RATES = ("limits", "dalle2 priors", "dalle2 costs", "mini codes", "mini limits", "mini costs")
NO_SHARES = ("variety", "sharpness", "place,", "background,")  # words in the names of others


# ---- one figure -------------------------------------------------------------------------


def written(value: float, percent: bool, error: float | None = None) -> str:
    """A figure as written in a table: 0.9247 → 92.5, as a percentage; with its error ± 0.4."""
    if isinstance(value, int):
        return str(value)
    if error is not None and not math.isnan(error):
        return f"{written(value, percent)} ± {written(error, percent)}"
    return f"{100 * value:.1f}" if percent else f"{value:.2f}"


def rate(figures: dict, measure: str) -> str:
    """A rate and its standard error, in per cent; "" if it was not measured."""
    if measure not in figures:
        return ""
    return written(figures[measure], True, figures.get(f"{measure} ±")) + " %"


def goal(value: float, wanted: float | None) -> str:
    """A goal in per cent, and whether it was missed."""
    if wanted is None:
        return ""
    return f"{100 * wanted:g} %" + ("" if value >= wanted else ", **missed**")


def made(measured: dict) -> str:
    """When and where, and of how many captions."""
    return (
        f"{measured['date']}, {measured['machine']}; {measured['captions']} captions, "
        f"{measured['candidates']} candidates for each, seed {measured['seed']}"
    )


# ---- small ------------------------------------------------------------------------------


def example(name: str) -> str:
    """A caption of an ability that training never showed."""
    own = [caption for caption in EXAMPLES if parse(caption)[0].name == name]
    ability = ABILITIES[name]
    return own[0] if own else ability.caption_of(ability.sample(Random(0), held_out=True))


def abilities(measured: dict) -> Table:
    """The rates of each ability, beside its goal."""
    best, any_of = f"best of {measured['candidates']}", f"any of {min(16, measured['candidates'])}"
    lines = [made(measured), ""]
    lines.append(f"| ability | never shown | read right | exact | {best} | {any_of} | goal |")
    lines.append("|---|---|---|---|---|---|---|")
    for name in ABILITIES:
        own = measured[name]
        shown = "single samples, reading only", "single samples", best, any_of
        cells = [rate(own, measure) for measure in shown]
        cells.append(goal(own[best], GOALS.get(name)))
        lines.append(f"| {name} | {example(name)} | {' | '.join(cells)} |")
    return lines


BANDS = (80, 50, 20, 5, 0)  # per cent, the lower ends


def bands(measured: dict) -> Table:
    """The abilities by how often CLIP's favourite is exact, in per cent, in few lines."""
    best = f"best of {measured['candidates']}"
    rates = {name: 100 * measured[name][best] for name in ABILITIES}
    lines = [
        f"| {best} is exact | abilities, in brackets the goal; {made(measured)} |",
        "|---|---|",
    ]
    for low, high in zip(BANDS, (100, *BANDS)):
        row = []
        for name in sorted(rates, key=lambda name: -rates[name]):
            if low <= rates[name] < high or rates[name] == high == 100:
                wanted = f" ({100 * GOALS[name]:g})" if name in GOALS else ""
                row.append(f"{name} {rates[name]:.0f}{wanted}")
        lines.append(f"| {low} to {high} % | {', '.join(row)} |")
    return lines


def emoji(measured: dict) -> Table:
    """What the readers read in drawings of emoji, and in real pictures."""
    own, best = measured["emoji at 64"], f"best of {measured['candidates']}"
    lines = [
        f"| emoji | real | single | {best} | share of real | goal |",
        "|---|---|---|---|---|---|",
    ]
    for pair in ("shown", "not shown"):
        for what in ("concept", "style", "both"):
            cells = [rate(own, f"{pair}, {how}: {what}") for how in ("real", "single", best)]
            share = own[f"{pair}, {best}: {what}"] / own[f"{pair}, real: {what}"]
            wanted = goal(share, EMOJI_GOALS.get(f"{pair}: {what}"))
            said = f"pairs {pair}: {what}"
            lines.append(f"| {said} | {' | '.join(cells)} | {share:.0%} | {wanted} |")
        lines.append(f"| pairs {pair}: near copies | | | {rate(own, f'{pair}, near copies')} | | |")
    return lines


def judge(measured: dict) -> Table:
    """What the judge makes of real pictures, and of wrong and spoilt ones."""
    own = measured["ability judge"]
    shown = {
        "real": "real, through the dVAE",
        "near miss": "near misses, through the dVAE",
        "painted over": "through the dVAE, then a quarter painted over",
        "blurred 3×3": "through the dVAE, then blurred 3×3",
    }
    lines = ["| judged exact | " + " | ".join(shown) + " |", "|---" * (len(shown) + 1) + "|"]
    for name in ABILITIES:
        cells = [rate(own, f"{name}: {what}") for what in shown.values()]
        lines.append(f"| {name} | {' | '.join(cells)} |")
    return lines


def more(measured: dict) -> Table:
    """Of each ability: what the code losses are, how much is copied, how varied drawings are."""
    heads = "loss shown, nats a code", "loss held out", "another's caption", "near copies"
    heads += ("variety of places",)
    lines = ["| ability | " + " | ".join(heads) + " |", "|---" * (len(heads) + 1) + "|"]
    losses = measured["code losses"]
    for name in ABILITIES:
        own = measured[name]
        cells = [
            written(losses[f"{name}, {what}"], False, losses[f"{name}, {what} ±"])
            for what in ("shown", "held out")
        ]
        cells += [rate(own, what) for what in ("single samples, of another caption", "near copies")]
        cells.append(rate(own, "variety of places, share"))
        lines.append(f"| {name} | {' | '.join(cells)} |")
    return lines


def parts(measured: dict) -> Table:
    """How often each field is read right in single samples, and each kind of caption is exact."""
    best = f"best of {measured['candidates']}"
    lines = [
        "| ability | fields read right, single samples | product | all | kinds, single → best |"
    ]
    lines.append("|---|---|---|---|---|")
    for name in ABILITIES:
        own = measured[name]
        fields = [
            (field, f"single samples, {field} read right") for field in ABILITIES[name].fields
        ]
        told = ", ".join(f"{f} {100 * own[key]:.0f} %" for f, key in fields if key in own)
        kinds = [key.removeprefix(f"{best}, ") for key in own if key.startswith(f"{best}, ")]
        each = ", ".join(
            f"{k} {100 * own[f'single samples, {k}']:.0f} → {100 * own[f'{best}, {k}']:.0f} %"
            for k in kinds
            if not k.endswith("±")
        )
        product = rate(own, "single samples, product of the fields")
        whole = rate(own, "single samples, reading only")
        lines.append(f"| {name} | {told} | {product} | {whole} | {each} |")
    return lines


def others(measured: dict) -> Table:
    """The parts that are no ability."""
    lines = ["| what `minidalle evaluate` calls it | measured |", "|---|---|"]
    visor = "single samples, both things are there", "single samples, relation right if both are"
    for part in ("relations", "naming", "description", "failures", "best of many"):
        for measure in visor if part == "relations" else measured[part]:
            if not measure.endswith("±"):
                lines.append(f"| `{part}: {measure}` | {rate(measured[part], measure)} |")
    return lines


# ---- tiny, and the second DALL·E --------------------------------------------------------


def every_measure(measured: dict, goals: dict[str, float]) -> Table:
    """Every measure as a row; " ±" in a name marks the standard error of another."""
    lines = [made(measured), "", "| what `minidalle evaluate` calls it | measured | goal | |"]
    lines.append("|---|---|---|---|")
    for part, figures in measured.items():
        for measure, value in figures.items() if isinstance(figures, dict) else ():
            if measure.endswith(" ±") or part == "diversity":
                continue
            least = goals.get(f"{part}: {measure}")
            percent = is_rate(part, measure, value)
            wanted = "" if least is None else f"≥ {100 * least:g} %" if percent else f"≥ {least:g}"
            missed = "" if least is None or value >= least else "**missed**"
            said = figure(part, measure, figures)
            lines.append(f"| `{part}: {measure}` | {said} | {wanted} | {missed} |")
    return lines + diversity(measured.get("diversity"))


def is_rate(part: str, measure: str, value: float) -> bool:
    """Whether a figure is a share, to be written as a percentage."""
    share = isinstance(value, float) and value <= 1 and part not in NO_RATES
    return share and not any(word in measure for word in NO_SHARES)


def figure(part: str, measure: str, figures: dict) -> str:
    """A figure with its error and its unit; "" if it was not measured."""
    if measure not in figures:
        return ""
    percent = is_rate(part, measure, figures[measure])
    said = written(figures[measure], percent, figures.get(f"{measure} ±"))
    return said + (" %" if percent else "")


def beside(tiny: dict, second: dict) -> Table:
    """The second DALL·E and the first, tiny, on captions of scenes that neither was shown."""
    lines = ["| | tiny, 32×32 | the second, 128×128 |", "|---|---|---|"]
    chain, costs = second.get("dalle2 chain", {}), second.get("dalle2 costs", {})
    for split in ("unseen", "combination"):
        for measure in ("single samples", "best of 8"):
            cells = rate(tiny[split], measure), rate(chain, f"{split}: {measure}")
            lines.append(f"| {split}, {measure}, exact | {' | '.join(cells)} |")
    for measure in ("million parameters", "seconds for 16 candidates"):
        both = (costs.get(f"{name}: {measure}") for name in ("DALL·E, tiny", "DALL·E 2"))
        cells = ["" if value is None else written(value, False) for value in both]
        lines.append(f"| {measure} | {' | '.join(cells)} |")
    return lines


def mini(measured: dict) -> Table:
    """Every measure of DALL·E Mini and, beside it, of tiny."""
    lines = [made(measured), "", "| what `minidalle evaluate` calls it | mini | tiny | goal |"]
    lines.append("|---|---|---|---|")
    for part, figures in measured.items():
        for measure in figures if isinstance(figures, dict) else ():
            name, _, what = measure.partition(": ")
            if name == "mini" and not what.endswith(" ±"):
                cells = [figure(part, f"{name}: {what}", figures) for name in ("mini", "tiny")]
                wanted = goal(figures[measure], GOALS_OF_MINI.get(f"{part}: {what}"))
                lines.append(f"| `{part}: {what}` | {' | '.join(cells)} | {wanted} |")
    return lines


def diversity(figures: dict | None) -> Table:
    """How exact and how varied, a row for each guidance and temperature, and one of paintings."""
    if figures is None:
        return []

    def row(name: str, exact: str, where: str) -> str:
        bits = [f"{what}, {where}" for what in ("place", "background")]
        cells = [written(figures[b], False, figures[f"{b} ±"]) for b in bits]
        return f"| {name} | {exact} | {' | '.join(cells)} |"

    lines = ["", "| `diversity:` | exact | place, bits | background, bits |", "|---|---|---|---|"]
    for guidance in GUIDANCES:
        for temperature in TEMPERATURES:
            where = f"guidance {guidance:g}, temperature {temperature:g}"
            lines.append(row(where, rate(figures, f"exact, {where}"), where))
    return [*lines, row("as painted", "", "as painted")]


# ---- where they belong ------------------------------------------------------------------


def tables() -> dict[Path, dict[str, Table]]:
    """Every table by its file and name."""
    small, tiny, second, third = (
        json.loads((DATA / f"{name}.json").read_text("utf-8"))
        for name in ("evaluation", "evaluation_tiny", "evaluation_dalle2", "evaluation_mini")
    )
    of_small = (emoji, judge, more, parts, others)
    return {
        ROOT / "README.md": {"bands": bands(small)},
        ROOT / "docs" / "results.md": {
            "abilities": abilities(small),
            **{make.__name__: make(small) for make in of_small},
            "tiny": every_measure(tiny, GOALS_OF_TINY),
            "beside": beside(tiny, second),
            "dalle2": every_measure(second, GOALS_OF_DALLE2),
            "mini": mini(third),
        },
    }


def with_table(text: str, name: str, table: Table) -> str:
    """A text with the table between its comments. Raises ValueError if they are missing."""
    begin, end = f"<!-- {name} -->\n", f"<!-- end of {name} -->"
    between = re.compile(re.escape(begin) + ".*?" + re.escape(end), re.DOTALL)
    if not between.search(text):
        raise ValueError(f"there is no place for a table called {name}")
    return between.sub(lambda _: begin + "\n".join(table) + "\n" + end, text)


def main() -> None:
    for path, own in tables().items():
        text = path.read_text("utf-8")
        for name, table in own.items():
            text = with_table(text, name, table)
            if "--write" not in sys.argv:
                print(f"\n{path.name}, {name}\n", *table, sep="\n")
        if "--write" in sys.argv:
            with whole_file(path) as file:
                file.write_text(text, "utf-8")


if __name__ == "__main__":
    main()
