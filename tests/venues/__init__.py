"""Local servers that speak the protocols of the outside services, on loopback, with faults on demand."""
