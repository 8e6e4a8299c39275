"""How it is computed: devices, chunks of one static shape, masks, and the questions that a network is asked."""
