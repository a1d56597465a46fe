"""The stand-in device: an arm64 virtual machine that is a phone over adb and a board over ssh."""
