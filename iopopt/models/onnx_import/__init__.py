"""Networks from ONNX files; one parser file for each family of operators, all listed in :mod:`.registry`."""
