"""All the targets and their tables, in Markdown on standard output: `make bench`, or `python benchmarks --rounds N`."""

import sys

import calls
import memory
import startup
import tables
import ten
import throughput


def main() -> int:
    rounds, rows = tables.rounds(__doc__), []
    for each in (calls, startup, throughput, memory, ten):
        print(f"\n## {each.__doc__.partition(chr(10))[0]}\n", flush=True)
        rows += each.measure(rounds)
    print(f"\n## Targets, medians of {rounds} rounds\n\n{tables.targets(rows)}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
