"""How hard property tests try: a little in every run, a lot where HYPOTHESIS_PROFILE=thorough says so.

No deadlines: a machine that is busy with other workers is no bug.
"""

from __future__ import annotations

import os

from hypothesis import HealthCheck, settings

BUSY = [HealthCheck.too_slow]
settings.register_profile("quick", max_examples=25, deadline=None, suppress_health_check=BUSY)
settings.register_profile("thorough", max_examples=200, deadline=None, suppress_health_check=BUSY)
settings.load_profile(os.environ.get("HYPOTHESIS_PROFILE", "quick"))
