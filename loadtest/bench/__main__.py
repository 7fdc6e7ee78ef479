"""`python -m loadtest.bench`: run the benchmark, or any part of it.

The exit code is 1 if a request failed or an answer was wrong, otherwise 0. The report says whether the promised ratios
are reached; that does not change the exit code, because machines differ.
"""

from __future__ import annotations

import argparse
import shutil
import signal
import sys
from collections.abc import Sequence
from pathlib import Path

import msgspec

from loadtest.bench import plan as plans
from loadtest.bench import report
from loadtest.bench.load import LoadError
from loadtest.bench.plan import Plan
from loadtest.bench.processes import REPOSITORY, StartError
from loadtest.bench.ratios import CLUSTER
from loadtest.bench.runner import KV, SYSTEMS, Runner


def main(arguments: Sequence[str] | None = None) -> int:
    options = _parser().parse_args(arguments)
    names: list[str] = options.systems.split(",") if options.systems else list(SYSTEMS)
    trees = _trees(options.tree)
    names += [name for name in trees if name not in names]
    known = (*SYSTEMS, CLUSTER)
    unknown = [name for name in names if name not in known and name not in trees]
    if unknown:
        print(f"no such system: {', '.join(unknown)}; there are {', '.join(known)}", file=sys.stderr)
        return 2
    out: Path = options.out
    out.mkdir(parents=True, exist_ok=True)
    work = out.resolve() / "work"
    shutil.rmtree(work, ignore_errors=True)
    work.mkdir(mode=0o700)
    try:
        results = Runner(_plan(options), names, {KV: REPOSITORY, CLUSTER: REPOSITORY, **trees}, work, sys.stderr).run()
    except (LoadError, StartError) as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    finally:
        if not options.keep:
            shutil.rmtree(work, ignore_errors=True)
    (out / "results.json").write_bytes(msgspec.json.format(msgspec.json.encode(results), indent=1))
    text = report.markdown(results)
    (out / "report.md").write_text(text)
    print(text)
    if not options.no_plots:
        # matplotlib takes a second to import, and single combinations need no plots.
        from loadtest.bench import plots

        plots.draw(results, out)
    print(f"{out}/: report.md, results.json{'' if options.no_plots else ', *.png'}")
    if results.errors:
        print(f"error: {results.errors} requests failed", file=sys.stderr)
        return 1
    return 0


def _trees(given: Sequence[str]) -> dict[str, Path]:
    trees = {}
    for each in given:
        name, _, path = each.rpartition("=")
        tree = Path(path).resolve()
        if not (tree / "localcluster").is_dir():
            sys.exit(f"{path}: no source tree of tarant-kv")
        trees[f"{KV}:{name or tree.name}"] = tree
    return trees


def _plan(options: argparse.Namespace) -> Plan:
    plan = plans.chosen(
        plans.quick() if options.quick else plans.full(),
        values=options.values,
        connections=options.connections,
        operations=options.operations,
        batches=options.batches,
        share=options.share,
    )
    changed = {
        name: value
        for name, value in {
            "rounds": options.rounds,
            "seconds": options.seconds,
            "warm_up_s": options.warm_up,
            "string_keys": options.keys,
        }.items()
        if value is not None
    }
    return msgspec.structs.replace(plan, **changed)


def _numbers(text: str) -> list[int]:
    return [int(part) for part in text.split(",")]


def _words(text: str) -> list[str]:
    return text.split(",")


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m loadtest.bench", description=__doc__)
    parser.add_argument("--quick", action="store_true", help="fewer combinations, one round, fewer keys")
    parser.add_argument("--systems", help=f"of {','.join((*SYSTEMS, CLUSTER))}; all but the last by default")
    parser.add_argument(
        "--tree",
        action="append",
        default=[],
        metavar="[NAME=]DIR",
        help="measure the tarant-kv of another checkout, too",
    )
    parser.add_argument("--operations", type=_words, default=[], metavar="write,read,scan")
    parser.add_argument("--batches", type=_numbers, default=[], metavar="1,10,100,1000")
    parser.add_argument("--connections", type=_numbers, default=[], metavar="1,32,128")
    parser.add_argument("--values", type=_words, default=[], metavar="string,record")
    parser.add_argument(
        "--share",
        type=float,
        default=0.0,
        help="measure each combination also at this share of fastapi's rate, for example 0.5",
    )
    parser.add_argument("--rounds", type=int)
    parser.add_argument("--seconds", type=float, help="length of one measurement")
    parser.add_argument("--warm-up", type=float, help="seconds of load before each")
    parser.add_argument("--keys", type=int, help="different keys with string values")
    parser.add_argument("--out", type=Path, default=Path(".bench"), help="directory of the results")
    parser.add_argument("--no-plots", action="store_true")
    parser.add_argument("--keep", action="store_true", help="keep logs and data of the systems in OUT/work")
    return parser


if __name__ == "__main__":
    # SIGTERM must also stop the systems that the benchmark has started.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    sys.exit(main())
