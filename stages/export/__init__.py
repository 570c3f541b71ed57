"""Exports the model as ONNX, with its model card."""
