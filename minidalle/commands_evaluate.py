"""`minidalle evaluate`: measure models part by part, and store or print the figures.

As in commands.py, bad input raises ValueError or OSError, in one sentence.
"""

import hashlib
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from minidalle import DATA
from minidalle.commands import machine, open_models, open_second, today, valid
from minidalle.files import whole_file
from minidalle.words import shown


def evaluate(args) -> None:
    """Measure the models on each part; print the date, the machine and the figures."""
    from minidalle import mini_measures
    from minidalle.dalle2_measures import evaluate as second
    from minidalle.evaluate import PARTS, parts_of
    from minidalle.world.abilities import ABILITIES

    others: dict[str, Mapping[str, Any]] = {"dalle2": second.PARTS, "mini": mini_measures.PARTS}
    groups = {"abilities": list(ABILITIES)} | {name: list(own) for name, own in others.items()}
    parts = [part for name in args.split or () for part in groups.get(name, [name])]
    measures: Mapping[str, Any] = PARTS | second.PARTS | mini_measures.PARTS
    for part in parts:
        if part not in measures:
            names = ", ".join([*groups, *measures])
            raise ValueError(f"unknown split {part!r}: choose from {names}")
    asked_of = {next((name for name in others if part in others[name]), "") for part in parts}
    if len(asked_of) > 1:
        raise ValueError("each DALL·E has weights of its own: measure one at a time")
    if "mini" in asked_of:
        args.weights, args.model = args.weights or DATA / "dalle_mini", "mini"
    models = open_second(args) if "dalle2" in asked_of else open_models(args)
    parts = parts or parts_of(models)
    asked = {"captions": args.captions, "candidates": args.candidates, "seed": args.seed}
    asked |= {"weights": fingerprint(models)}
    results = {"date": today(), "machine": machine()} | asked
    if args.into:
        results = begun(args.into, asked) or results
    for part in parts:
        if part not in results:
            results[part] = measures[part](models, args.captions, args.candidates, args.seed)
        if args.into:
            with whole_file(args.into) as file:
                file.write_text(json.dumps(valid(results), indent=2) + "\n", "utf-8")
    if args.json:
        print(json.dumps(valid(results), indent=2))
    else:
        print(f"{results['date']}, {results['machine']}")
        print(table({part: results[part] for part in parts}))


def begun(path: Path, asked: dict[str, Any]) -> dict[str, Any] | None:
    """The figures of an evaluation that was stopped, if it asked for the same."""
    if not path.exists():
        return None
    if not path.is_file():
        raise ValueError(f"{path} is no ordinary file")
    try:
        found = json.loads(path.read_text("utf-8"))
        other = [name for name in asked if found[name] != asked[name]]
        found["date"], found["machine"] = shown(found["date"]), shown(found["machine"])
    except (ValueError, KeyError, TypeError, RecursionError):
        raise ValueError(f"{path} holds no figures of `minidalle evaluate`") from None
    if other:
        raise ValueError(f"{path} holds figures of other {', '.join(other)}: name another file")
    return found


def fingerprint(models) -> str:
    """One for the encoding and all networks together."""
    from torch import nn

    from minidalle import weights

    networks = [part for part in models if isinstance(part, nn.Module)]
    each = [models.bpe.fingerprint(), *map(weights.fingerprint, networks)]
    return hashlib.sha256(" ".join(each).encode()).hexdigest()


def table(results: dict) -> str:
    """{"unseen": {"exact, one sample": 0.75}} → a heading and its measures, aligned."""
    lines = []
    for part, measures in results.items():
        measures = measures if isinstance(measures, dict) else {"": measures}
        measures = {shown(name): value for name, value in measures.items()}  # of a file, maybe
        lines.append(part)
        wide = max(map(len, measures), default=0)
        for name, value in measures.items():
            value = f"{value:10.4g}" if isinstance(value, float) else f"{shown(value):>10}"
            lines.append(f"  {name:{wide}}  {value}")
    return "\n".join(lines)
