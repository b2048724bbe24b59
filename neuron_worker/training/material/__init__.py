"""Training material: pictures, drawings and what encoders leave of them."""
