"""How often a gate errs.

    python benchmarks/gate_error_rates.py [--gates 2000] [--seconds 60] [--tolerance 0.03]
    python benchmarks/gate_error_rates.py --peers        # beside other rules, on the same samples
    python benchmarks/gate_error_rates.py --coverage     # exact intervals beside bootstrap ones
    python benchmarks/gate_error_rates.py --levels       # of the looks (decision.FIRST, CONFIRMATION)

All of it is simulated; gate_on_hardware.py measures.
"""

from __future__ import annotations

import argparse
from collections import Counter
from statistics import NormalDist

import numpy as np

from mobiledeploy.device_tests.gate.decision import CONFIRMATION, FIRST, LOOKS, follow
from mobiledeploy.device_tests.gate.intervals import symmetric_interval
from mobiledeploy.device_tests.gate.order import candidate_first
from mobiledeploy.device_tests.gate.simulation import NOISES, Noise, simulate_gate

SECONDS_PER_PAIR = 0.4
INFERENCES = 20


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--gates", type=int, default=2000, help="for each row")
    parser.add_argument("--seconds", type=float, default=60.0, help="time limit of a gate")
    parser.add_argument("--tolerance", type=float, default=0.03)
    parser.add_argument("--peers", action="store_true")
    parser.add_argument("--coverage", action="store_true")
    parser.add_argument("--levels", action="store_true")
    given = parser.parse_args()
    pairs = round(given.seconds / SECONDS_PER_PAIR)
    if given.peers:
        peers(given.gates, pairs, given.tolerance)
    elif given.coverage:
        coverage(given.gates)
    elif given.levels:
        levels(given.gates)
    else:
        rates(given.gates, pairs, given.tolerance)


def rates(gates: int, pairs: int, tolerance: float) -> None:
    """Outcomes for files that are alike, just at the tolerance, and slower."""
    print(f"tolerance {tolerance:.1%}, {gates} gates a row, at most {pairs} pairs of launches each")
    print(f"{'device':16} {'slower':>7} {'pass':>7} {'fail':>7} {'open':>7} {'pairs':>6}")
    for name, noise in NOISES.items():
        for slowdown in (0.0, tolerance, 0.05, 0.10):
            random = np.random.default_rng(1)
            done = [
                simulate_gate(noise, random, slowdown=slowdown, tolerance=tolerance, pairs=pairs)
                for _ in range(gates)
            ]
            words = Counter(word for word, _ in done)
            used = np.median([count for _, count in done])
            shares = " ".join(f"{words[word] / gates:7.2%}" for word in ("pass", "fail", "inconclusive"))
            print(f"{name:16} {slowdown:7.1%} {shares} {used:6.0f}")


def peers(gates: int, pairs: int, tolerance: float) -> None:
    """Share of gates that each rule calls red, files alike and 5% slower.

    Every rule sees the same inferences: those of the pairs that our first session has room for.
    """
    rules = {
        "mobiledeploy": lambda ours, theirs: _ours(ours, theirs, tolerance),
        "means": lambda ours, theirs: bool(ours.mean() / theirs.mean() > 1 + tolerance),
        "Mann-Whitney": lambda ours, theirs: _mann_whitney(ours.ravel(), theirs.ravel()) < 0.05,
        "medians 5%": lambda ours, theirs: bool(np.median(ours) / np.median(theirs) > 1.05),
    }
    print(f"red of {gates} gates, {pairs} pairs of {INFERENCES} inferences; tolerance {tolerance:.1%}")
    print(f"{'device':16} {'slower':>7} " + " ".join(f"{name:>13}" for name in rules))
    for name, noise in NOISES.items():
        for slowdown in (0.0, 0.05):
            random = np.random.default_rng(2)
            reds = Counter[str]()
            for _ in range(gates):
                ours, theirs = _inferences(noise, random, pairs, slowdown)
                reds.update(rule for rule, red in rules.items() if red(ours, theirs))
            print(f"{name:16} {slowdown:7.1%} " + " ".join(f"{reds[rule] / gates:13.2%}" for rule in rules))


def _inferences(
    noise: Noise, random: np.random.Generator, pairs: int, slowdown: float
) -> tuple[np.ndarray, np.ndarray]:
    shown = noise(random, 2 * pairs)
    first = np.array([candidate_first(pair) for pair in range(pairs)])
    ours = np.where(first, shown[::2], shown[1::2]) + np.log1p(slowdown)
    theirs = np.where(first, shown[1::2], shown[::2])
    # Within a launch: a little noise, and a slow inference now and then.
    slow = random.random((2, pairs, INFERENCES)) < 0.05
    inner = random.normal(0, 0.005, slow.shape) + slow * random.exponential(0.5, slow.shape)
    return np.exp(ours[:, None] + inner[0]), np.exp(theirs[:, None] + inner[1])


def _ours(ours: np.ndarray, theirs: np.ndarray, tolerance: float) -> bool:
    """Half of the pairs stand for the session that confirms."""
    logs = np.log(np.percentile(ours, 10, axis=1) / np.percentile(theirs, 10, axis=1)).tolist()
    first = follow(logs, tolerance, "ratio", FIRST, ended=True)
    if first.word != "regressed":
        return False
    rest = logs[first.count :]
    return follow(rest, tolerance, "ratio", CONFIRMATION, ended=True).word == "regressed"


def _mann_whitney(ours: np.ndarray, theirs: np.ndarray) -> float:
    """p-value that ours are slower, normal approximation."""
    both = np.concatenate([ours, theirs])
    ranks = np.empty(len(both))
    ranks[both.argsort()] = np.arange(1, len(both) + 1)
    n, m = len(ours), len(theirs)
    u = ranks[:n].sum() - n * (n + 1) / 2
    return 1 - NormalDist(n * m / 2, (n * m * (n + m + 1) / 12) ** 0.5).cdf(u)


def coverage(gates: int) -> None:
    """How often each end of an interval misses the truth; wanted is at most the level of a look."""
    print(f"misses of the lower end, {gates} intervals each; level {FIRST.level:.2%}")
    print(f"{'device':16} {'pairs':>6} {'signed ranks':>13} {'percentile':>11} {'BCa':>7}")
    resamples = 2000
    for name, noise in NOISES.items():
        for count in (8, 12, 27):
            random = np.random.default_rng(3)
            misses = np.zeros(3)
            for _ in range(gates):
                shown = noise(random, 2 * count)
                signs = np.array([1 if candidate_first(pair) else -1 for pair in range(count)])
                values = signs * (shown[::2] - shown[1::2])
                misses[0] += symmetric_interval(values.tolist(), FIRST.level).low > 0
                draws = values[random.integers(count, size=(resamples, count))].mean(axis=1)
                misses[1] += np.quantile(draws, FIRST.level) > 0
                misses[2] += np.quantile(draws, _bca(values, draws, FIRST.level)) > 0
            ranks, plain, bca = misses / gates
            print(f"{name:16} {count:6} {ranks:13.2%} {plain:11.2%} {bca:7.2%}")


def _bca(values: np.ndarray, draws: np.ndarray, level: float) -> float:
    """Where the lower end lies among the draws (Efron 1987, JASA 82:171)."""
    normal = NormalDist()
    share = np.clip((draws < values.mean()).mean(), 1e-4, 1 - 1e-4)
    jackknife = (values.sum() - values) / (len(values) - 1)
    away = jackknife.mean() - jackknife
    spread = (away**2).sum() ** 1.5
    skew = (away**3).sum() / (6 * spread) if spread else 0.0
    bias = normal.inv_cdf(float(share))
    z = bias + normal.inv_cdf(level)
    return normal.cdf(bias + z / (1 - skew * z))


def levels(gates: int) -> None:
    """Error of all looks together, on one side, where the truth is at the tolerance."""
    for rule in (FIRST, CONFIRMATION):
        random = np.random.default_rng(4)
        for kind in ("ratio", "typical"):
            errors = 0
            for _ in range(gates):
                values = random.normal(0, 0.05, LOOKS[-1])
                errors += follow(values.tolist(), 0.0, kind, rule).word == "regressed"
            error = errors / gates
            print(
                f"{kind:8} level {rule.level:.2%}: {error:.2%} "
                f"+- {1.96 * (error * (1 - error) / gates) ** 0.5:.2%}, allowed {rule.error:.0%}"
            )


if __name__ == "__main__":
    main()
