"""Training in two stages by one loop: the backbone from scratch where asked, then the stream alone."""
