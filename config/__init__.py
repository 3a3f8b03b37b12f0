"""What every process must agree on: the field description, the wire, the settings and the errors."""
