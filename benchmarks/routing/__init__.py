"""What `bench_routing.py` measures, one module for each part."""
