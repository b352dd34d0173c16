"""The native launcher: every part of the stack as a supervised process on this machine."""
