"""Types that cross the walls between rooms: plain data and its validation; imports nothing of ours but errors."""
