"""Where the objects of a picture are: masks and boxes, brought to the square that a network sees."""
