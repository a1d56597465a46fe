"""Many variants of one model, converted, measured and compared: which one is right-sized for a device."""
