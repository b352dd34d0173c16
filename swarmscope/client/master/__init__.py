"""What a master accepts from its workers, and what it does with the rest."""
