"""What is drawn, and how one knows that it is right: scenes, their paintings, the judge, the emoji pack."""
