"""Parts of `bench_replay.py`."""
