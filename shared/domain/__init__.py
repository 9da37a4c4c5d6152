"""What a release is and how it moves: pure rules, standard library only."""
