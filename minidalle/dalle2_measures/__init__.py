"""How good the second DALL·E is: what is asked, and a measure for each claim."""
