"""Makes mlrsearch.json beside it: pip install MLRsearch==1.2.1; python3 mlrsearch.py > mlrsearch.json

Random trials of a second each at random loads, and the relevant bounds that the reference finds in them.
"""

import json
import random

from MLRsearch.discrete_load import DiscreteLoad
from MLRsearch.discrete_result import DiscreteResult
from MLRsearch.load_rounding import LoadRounding
from MLRsearch.measurement_database import MeasurementDatabase
from MLRsearch.target_spec import TargetSpec
from MLRsearch.discrete_width import DiscreteWidth
from MLRsearch.trial_measurement.measurement_result import MeasurementResult

rounding = LoadRounding(min_load=1e3, max_load=1e6, float_goals=[0.01])
width = DiscreteWidth(rounding=rounding, float_width=0.01).rounded_down()
random.seed(1)
cases = []
for _ in range(1000):
    trials = random.randint(1, 12)
    exceed = random.choice([0.0, 0.2, 0.5, 0.7])
    target = TargetSpec(
        loss_ratio=0.0,
        exceed_ratio=exceed,
        discrete_width=width,
        trial_duration=1.0,
        duration_sum=float(trials),
        expansion_coefficient=2,
        fail_fast=False,
        preceding=None,
    )
    database = MeasurementDatabase((target,))
    loads = []
    for step in sorted(random.sample(range(1, 300), random.randint(1, 12))):
        odds = random.choice([0.1, 0.5, 0.9, 0.9 if step < 150 else 0.1])
        tries = [random.random() < odds for _ in range(random.randint(1, 14))]
        load = DiscreteLoad(rounding=rounding, int_load=step)
        for good in tries:
            database.add(DiscreteResult.with_load(MeasurementResult(
                intended_duration=1.0,
                intended_load=float(load),
                offered_count=1000,
                loss_count=0 if good else 10,
            ), load))
        loads.append((step, sum(tries), len(tries) - sum(tries)))
    bounds = database.get_relevant_bounds(target)
    place = lambda bound: int(bound) if bound else None
    cases.append({
        "sum": trials,
        "exceed": exceed,
        "loads": loads,
        "lower": place(bounds.clo),
        "upper": place(bounds.chi),
    })
print("[\n" + ",\n".join(json.dumps(case) for case in cases) + "\n]")
