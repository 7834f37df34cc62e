"""People whom several calibrated cameras saw: what is known of them in space without a mark."""
