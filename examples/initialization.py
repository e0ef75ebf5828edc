"""Which initialization should a Kolmogorov-Arnold network start from?  The experiment of jaxKAN's third tutorial.

A Chebyshev KAN [2, 6, 6, 1] of degree 5 learns x^2 + 2 exp(y) under five schemes, here over four seeds each, all twenty
networks in one compiled program.  Run it with ``python examples/initialization.py``.
"""

import edgewise as ew

SCHEMES = {
    "default": ew.init.Default(),
    "lecun": ew.init.LeCun(),
    "glorot": ew.init.Glorot(),
    "glorot_fine": ew.init.GlorotFine(),
    "power": ew.init.Power(),
}


def run(seeds: int = 4, epochs: int = 2000):
    """The comparison: a row per scheme, with its test errors over the seeds."""
    return ew.study.compare(basis=ew.Chebyshev(5), widths=[6, 6], schemes=SCHEMES, seeds=seeds, epochs=epochs)


if __name__ == "__main__":
    print(run())
