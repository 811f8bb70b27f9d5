"""Run seeds and print what they did: `python -m tests.simulation SEED [COUNT]`."""

import sys
import time

from tests.simulation.simulation import simulate

first, count = int(sys.argv[1]), int(sys.argv[2]) if len(sys.argv) > 2 else 1
began, failed = time.process_time(), []
for seed in range(first, first + count):
    result = simulate(seed)
    if count == 1:
        print("\n".join(result.trace))
    if result.violations:
        failed.append(seed)
        print(f"seed {seed}: {result.violations[0][:300]}")
seconds = time.process_time() - began
print(f"{count} seeds in {seconds:.1f} s of CPU ({count / seconds:.1f} a second), violated: {failed}")
