"""Process an event: fetch the conversation, classify it, decide, act, and settle the event in the inbox."""
