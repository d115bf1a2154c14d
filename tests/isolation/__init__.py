"""Who sees whose region: threads, tasks, greenlets, generators; and interruptions."""
