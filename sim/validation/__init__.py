"""Published results, one declaration each, simulated again and judged: what `sim validate` runs.

A result is a `Published` (see `sim.validation.form`); those of this package are in `sim.validation.published`, a module
each. docs/validation.md has the tables, docs/howto_validate.md says how to add one.
"""

from sim.validation.form import SHOWN, Case, Estimate, Figures, Perturbation, Published
from sim.validation.judging import Judged
from sim.validation.known import all_results, result_named
from sim.validation.running import Validated, simulate, validate

__all__ = [
    "SHOWN",
    "Case",
    "Estimate",
    "Figures",
    "Judged",
    "Perturbation",
    "Published",
    "Validated",
    "all_results",
    "result_named",
    "simulate",
    "validate",
]
