"""Int8 post-training quantization (the next release; nothing here yet)."""
