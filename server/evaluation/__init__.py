"""How well the detector does: the figures, the cross-validation behind them, and validation on other clinics' data."""
