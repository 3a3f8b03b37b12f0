"""How fast it is, beside the usual way, on the machine at hand."""
