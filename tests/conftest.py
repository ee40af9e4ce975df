"""What pytest collects."""

import importlib.util

collect_ignore = [] if importlib.util.find_spec("triton") else ["test_sru_triton.py"]
