"""Run all benchmarks, or the named ones: `python -m benchmarks [deployment ...]`. They print; nothing is asserted on a time."""

from __future__ import annotations

import importlib
import pkgutil
import sys

import benchmarks


def main(names: list[str]) -> int:
    """Run each benchmark's `main` in turn."""
    known = sorted(module.name for module in pkgutil.iter_modules(benchmarks.__path__) if not module.name.startswith("_"))
    unknown = [name for name in names if name not in known]
    if unknown:
        print(f"error: there is no benchmark {unknown[0]!r}. Use one of {', '.join(known)}.", file=sys.stderr)
        return 2
    for name in names or known:
        print(f"\n== {name}")
        importlib.import_module(f"benchmarks.{name}").main()
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
