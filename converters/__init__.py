"""From a PyTorch model to a TFLite, ONNX or Core ML file."""
