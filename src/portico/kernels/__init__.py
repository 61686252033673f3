"""The arithmetic of a step: each fast path beside its plain-torch twin; `dispatch` chooses. Imports nothing of ours."""
