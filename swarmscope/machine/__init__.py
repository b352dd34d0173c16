"""What the kernel knows of this machine, or of the container that is all of it that we may use.

A figure that cannot be known (other systems, other kernels, hidden files) is None, never 0.
"""
