"""What each idea is worth: nested plan spaces, each solved to a proven optimum. ``python -m benchmarks.ideas``"""
