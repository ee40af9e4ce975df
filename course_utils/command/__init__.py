"""What `course.py` runs; no lesson imports it."""
