"""The world of the pictures: scenes and emoji, how they are painted, and how they are judged."""
