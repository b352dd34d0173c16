"""What the tests share: waiting, ports, processes, databases."""
