"""Tables and figures beside the published ones, one script each; run from a checkout, for example ``python -m paper_figs.table_latency``.

``results/`` holds what the scripts last produced. Everything is priced in the one setting of :mod:`paper_figs.setting`.
"""
