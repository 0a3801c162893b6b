"""What every benchmark prints: rows of a target each, and tables in Markdown."""

import argparse
import sys
from collections.abc import Callable, Iterable
from typing import NamedTuple

ROUNDS = 3


class Row(NamedTuple):
    """One target: what was measured, what was wanted, and whether it is reached; None where it was not measured,
    and `measured` says why."""

    what: str
    measured: str
    target: str
    reached: bool | None

    @property
    def words(self) -> str:
        return {True: "yes", False: "no", None: "not measured"}[self.reached]


def at_most(what: str, measured: float, limit: float, *, unit: str = "", relation: str = "") -> Row:
    """A number that shall be no larger than `limit`; `relation` says of what it is a multiple."""
    return Row(what, f"{measured:.2f}{unit}{relation}", f"≤ {limit:g}{unit}{relation}", measured <= limit)


def targets(rows: Iterable[Row]) -> str:
    return table(("what", "measured", "target", "reached"), [(*row[:3], row.words) for row in rows])


def table(head: Iterable[str], rows: Iterable[Iterable[object]]) -> str:
    lines = [list(head), *([str(cell) for cell in row] for row in rows)]
    text = ["| " + " | ".join(line) + " |" for line in lines]
    return "\n".join([text[0], "|---" * len(lines[0]) + "|", *text[1:]])


def main(measure: Callable[[int], list[Row]], document: str) -> int:
    """One benchmark alone, as `python benchmarks/NAME.py --rounds N`."""
    print(targets(measure(rounds(document))))
    return 0


def rounds(document: str) -> int:
    parser = argparse.ArgumentParser(description=document.partition("\n")[0])
    parser.add_argument("--rounds", type=int, default=ROUNDS, help=f"how often each is measured ({ROUNDS})")
    return parser.parse_args().rounds


def say(text: str) -> None:
    """How far it is, beside the tables on standard output."""
    print(text, file=sys.stderr, flush=True)
