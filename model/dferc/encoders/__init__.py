"""What turns raw signals into one vector an utterance."""
