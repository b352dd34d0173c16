"""What a master takes from its workers, and how it treats what it should not take."""
