"""Loss of power: what real processes wrote and synced is recorded, and every disk it may leave is opened anew."""
