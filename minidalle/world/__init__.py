"""What is drawn, and how one knows that it is right: scenes, paintings, judges, emoji."""
