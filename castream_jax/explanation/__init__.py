"""From pictures to what a network sees in them: maps of any class, as figures and as a gallery to look through."""
