"""The cost model: equations (1) and (6) to (8) of ``cost_model.md``, for one plan and for thousands at once."""
