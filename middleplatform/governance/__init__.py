"""What people decide about policy: its versions, what a change does, who approved it, and what came of it."""
