"""Handing over: the model as ONNX, and its card."""
