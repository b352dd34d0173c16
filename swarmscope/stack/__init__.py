"""The native launcher: runs every service of the stack as a supervised process on this machine."""
