"""One folder for each API family; a door knows no other door."""
