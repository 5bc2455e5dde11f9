"""An emulated testbed on one Linux machine (needs root): compares measured and predicted latency of whole plans.

Each device is a network namespace behind a rate-limited link and a process under a processor quota. ``python -m benchmarks.testbed --help``
"""
